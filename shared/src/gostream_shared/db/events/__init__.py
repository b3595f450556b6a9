"""The tables of the event log, of webhooks and of their deliveries."""
