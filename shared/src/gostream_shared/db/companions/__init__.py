"""Rows beside the videos, written in the same transactions."""
