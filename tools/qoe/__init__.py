"""Metrics of what viewers see, from the CMCD queries in the log of the edge."""
