"""The commands of events and webhooks."""
