"""The event log: listings, and streams that lose nothing across reconnects."""
