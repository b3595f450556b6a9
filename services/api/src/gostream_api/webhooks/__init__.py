"""Webhooks: receivers of events, their secrets and their deliveries."""
