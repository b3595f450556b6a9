"""Who calls, as far as an address tells: the peer's, or what a trusted proxy says of its own peer."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import unquote

from gostream_api.rpc.interceptors.base import Context

Network: TypeAlias = IPv4Network | IPv6Network
#: Names the client of a call.
ClientOf: TypeAlias = Callable[[Context], str]


def networks(text: str) -> list[Network]:
    """The networks of a list with commas between. Raises ValueError."""
    return [ip_network(each.strip()) for each in text.split(",") if each.strip()]


def peer_address(context: Context) -> str:
    """The address at the other end of the connection, without its port; gRPC's own text if it is not IP."""
    kind, _, rest = unquote(context.peer()).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return unquote(context.peer())
    return rest.rpartition(":")[0].strip("[]")


def client_behind(proxies: Sequence[Network]) -> ClientOf:
    """A function that names the client: the peer, or, if that is in `proxies`, the last address in its
    x-forwarded-for, which is the one that the proxy itself has added."""

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
