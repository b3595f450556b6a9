"""Ports to the rows beside the videos."""
