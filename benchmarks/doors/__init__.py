"""Compares the doors of the API with Go servers of the same task."""
