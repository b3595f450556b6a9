"""TLS of the development stack: its certificates, and TLS in front of servers without it."""
