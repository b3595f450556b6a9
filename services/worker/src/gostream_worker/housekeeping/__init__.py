"""What every worker does next to its jobs."""
