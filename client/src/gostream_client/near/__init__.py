"""The near cache: videos in the memory of a client, kept right by one stream of events."""
