"""Statements beside the repositories of videos and encodes, for the same transactions."""
