"""The interceptors of every RPC, outermost first: auth, local_hit, telemetry, errors, limits."""
