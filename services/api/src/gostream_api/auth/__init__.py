"""Authentication: who calls, proved by a token or by a client certificate."""
