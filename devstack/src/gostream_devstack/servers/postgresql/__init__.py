"""What stands next to a PostgreSQL: its standby, and a pooler of its connections."""
