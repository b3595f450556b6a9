"""Servers for a PostgreSQL: its standby, and a pooler of its connections."""
