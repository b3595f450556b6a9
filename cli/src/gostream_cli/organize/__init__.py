"""Existing videos: found, changed, deleted and restored."""
