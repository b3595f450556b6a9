"""The interceptors of every RPC, outermost first: local_hit, telemetry, errors, limits."""
