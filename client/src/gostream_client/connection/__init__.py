"""How a client reaches its servers: addresses, proxy, TLS, token, and the options of its channel."""
