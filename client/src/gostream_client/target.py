"""Converts a server argument into a gRPC target."""

import asyncio
import re
import socket

from gostream_client.errors import InvalidInputError, UnreachableError
from gostream_client.text import printable

MAX_SERVERS = 64
RESOLVE_SECONDS = 5
#: A name or IPv4 address, or an IPv6 address in brackets (RFC 3986, 3.2.2), and a port.
_SERVER = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+)):(?P<port>[0-9]{1,5})")

Address = tuple[socket.AddressFamily, str]


class UnresolvableError(UnreachableError):
    """The name has no address."""


async def dial_target(server: str) -> str:
    """Returns the gRPC target of "host:port", or of several separated by commas (round robin).

    Resolves several names here, because gRPC's list targets accept addresses only. Raises InvalidInputError
    and UnresolvableError.
    """
    pairs = split_servers(server)
    if len(pairs) == 1:
        return f"dns:///{_joined(*pairs[0])}"
    addresses = [await _resolve(host, port) for host, port in pairs]
    families = {family for family, _ in addresses}
    if len(families) > 1:
        raise InvalidInputError("the servers must be all IPv4 or all IPv6")
    scheme = "ipv6" if socket.AF_INET6 in families else "ipv4"
    return f"{scheme}:" + ",".join(address for _, address in addresses)


def split_servers(server: str) -> list[tuple[str, int]]:
    """Returns host and port of each server. Raises InvalidInputError."""
    parts = [part.strip() for part in server.split(",") if part.strip()]
    if not parts or len(parts) > MAX_SERVERS:
        raise InvalidInputError(
            f"the server must be host:port, or up to {MAX_SERVERS} of them separated by commas"
        )
    return [_split(part) for part in parts]


async def lookup(host: str, port: int) -> list[Address]:
    """Returns all addresses of `host`. Raises UnresolvableError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label that is too long
        raise UnresolvableError(f"the server name {printable(host)!r} cannot be resolved") from None
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _split(part: str) -> tuple[str, int]:
    found = _SERVER.fullmatch(part)
    if found is None or not 0 < int(found["port"]) < 65536:
        brackets = "; an IPv6 address takes brackets: [::1]:50051" if part.count(":") > 1 else ""
        raise InvalidInputError(
            f"'{printable(part)}' is not a server; write host:port, for example localhost:50051{brackets}"
        )
    return found["v6"] or found["name"], int(found["port"])


async def _resolve(host: str, port: int) -> Address:
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await lookup(host, port)
    except TimeoutError:
        raise UnresolvableError(f"the server name {host!r} cannot be resolved") from None
    # IPv4 first: "localhost" has both families, and servers listen on 127.0.0.1 more often than on ::1.
    family, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, _joined(address, port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
