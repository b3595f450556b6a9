"""What surrounds every RPC, outermost first: telemetry, errors, limits."""
