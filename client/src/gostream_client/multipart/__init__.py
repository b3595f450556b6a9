"""Uploads in parts: parallel, verified by MD5, resumable by the id of the video."""
