"""Identifies the client of a call by the peer's address, or by the address that a trusted proxy reports."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import unquote

from gostream_api.rpc.interceptors.base import Context

Network: TypeAlias = IPv4Network | IPv6Network
#: Returns the client's address of a call.
ClientOf: TypeAlias = Callable[[Context], str]


def networks(text: str) -> list[Network]:
    """Parse a comma-separated list of networks. Raises ValueError."""
    return [ip_network(each.strip()) for each in text.split(",") if each.strip()]


def peer_address(context: Context) -> str:
    """Returns the peer's address without the port; gRPC's text if the connection does not use IP."""
    kind, _, rest = unquote(context.peer()).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return unquote(context.peer())
    return rest.rpartition(":")[0].strip("[]")


def client_behind(proxies: Sequence[Network]) -> ClientOf:
    """Returns a function that identifies the client of a call.

    The client is the peer or, for a peer in `proxies`, the last address in x-forwarded-for, which the proxy
    has added.
    """

    def client_of(context: Context) -> str:
        peer = peer_address(context)
        try:
            address = ip_address(peer)
        except ValueError:
            return peer
        if not any(address in network for network in proxies):
            return peer
        metadata = context.invocation_metadata() or ()
        given = [str(value) for name, value in metadata if name == "x-forwarded-for"]
        return given[-1].rpartition(",")[2].strip() if given else peer

    return client_of
