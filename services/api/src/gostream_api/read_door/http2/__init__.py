"""HTTP/2: gRPC calls."""
