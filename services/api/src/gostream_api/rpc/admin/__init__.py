"""gostream.v1.AdminService over its use cases, and its listener."""
