"""Ports to the rows next to the videos."""
