"""How often an owner may call."""
