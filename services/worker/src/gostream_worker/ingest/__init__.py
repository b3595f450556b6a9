"""Fetches sources from URLs into the object store."""
