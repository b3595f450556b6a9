"""gostream.v1.TrackService over its use cases."""
