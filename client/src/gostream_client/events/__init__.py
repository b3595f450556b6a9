"""The calls of events and webhooks."""
