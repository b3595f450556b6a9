"""HTTP/1.1: JSON calls."""
