"""What surrounds every RPC, outermost first: answers at hand, telemetry, errors, limits."""
