"""What every worker does beside its jobs."""
