"""gostream.v1.UploadService over its use cases."""
