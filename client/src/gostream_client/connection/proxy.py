"""Decides whether gRPC sends calls through the proxy of an environment variable."""

import os
from ipaddress import IPv6Address, ip_address

from gostream_client.connection.target import UnresolvableError, lookup, split_servers

#: The variables that gRPC's C core reads, in its order of precedence; lower case only.
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")


def proxy_variable(server: str) -> str:
    """Returns the variable of the proxy for calls to `server`; empty for a direct connection.

    Calls to loopback are direct, because a proxy cannot reach this machine's loopback. Calls to a list of
    servers are direct too, because gRPC would ask the proxy to connect to the list. gRPC handles `no_proxy`.
    """
    variable = next((name for name in VARIABLES if os.environ.get(name)), "")
    servers = split_servers(server)
    if not variable or len(servers) > 1:
        return ""
    try:
        [found] = lookup(servers)
    except UnresolvableError:
        return variable  # the proxy may know the name
    return "" if all(_is_here(address) for _, address in found) else variable


def _is_here(address: str) -> bool:
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback or parsed.is_unspecified
