"""Compares speed, size and quality of the worker's encodes with other methods."""
