"""Statements next to the repositories of videos and encodes, for the same transactions."""
