"""Answers calls that look like earlier ones and are in L1, without the HTTP/2 library."""
