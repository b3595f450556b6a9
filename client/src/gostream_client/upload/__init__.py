"""Uploads: a local file, the HTTP request that sends it, and how it is repeated."""
