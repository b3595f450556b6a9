"""The kinds of jobs that the worker consumes, assembled from their steps."""
