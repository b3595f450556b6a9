"""Requests to hosts that callers name: which URLs and addresses this service may connect to."""
