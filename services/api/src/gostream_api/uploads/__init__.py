"""Uploads in parts: the use cases of UploadService."""
