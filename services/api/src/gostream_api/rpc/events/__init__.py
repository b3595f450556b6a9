"""gostream.v1.EventService over its use cases."""
