"""Converts a server argument into a gRPC target."""

import re
import socket
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from gostream_client.errors import InvalidInputError, UnreachableError
from gostream_client.text import printable

MAX_SERVERS = 64
#: Seconds for all names of a server argument.
RESOLVE_SECONDS = 5.0
#: A name or IPv4 address, or an IPv6 address in brackets (RFC 3986, 3.2.2), and a port.
_SERVER = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+)):(?P<port>[0-9]{1,5})")

Address = tuple[socket.AddressFamily, str]


class UnresolvableError(UnreachableError):
    """The name has no address."""


def dial_target(server: str) -> str:
    """Returns the gRPC target of "host:port", or of several separated by commas (round robin).

    Resolves several names here, because gRPC's list targets accept addresses only. Raises InvalidInputError
    and UnresolvableError.
    """
    pairs = split_servers(server)
    if len(pairs) == 1:
        return f"dns:///{_joined(*pairs[0])}"
    addresses = [_preferred(found, port) for found, (_, port) in zip(lookup(pairs), pairs, strict=True)]
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


def lookup(pairs: list[tuple[str, int]]) -> list[list[Address]]:
    """Returns all addresses of each host, within RESOLVE_SECONDS. Raises UnresolvableError."""
    until = monotonic() + RESOLVE_SECONDS
    return [_found(host, port, until) for host, port in pairs]


def _found(host: str, port: int, until: float) -> list[Address]:
    answers: SimpleQueue[list[Address]] = SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # UnicodeError: a label that is too long
            found = []
        answers.put([(family, str(address[0])) for family, _, _, _, address in found])

    # The system's resolver has no deadline. A daemon thread does not keep the process alive.
    Thread(target=resolve, daemon=True).start()
    try:
        addresses = answers.get(timeout=max(0.0, until - monotonic()))
    except Empty:
        addresses = []
    if not addresses:
        raise UnresolvableError(f"the server name {printable(host)!r} cannot be resolved")
    return addresses


def _split(part: str) -> tuple[str, int]:
    found = _SERVER.fullmatch(part)
    if found is None or not 0 < int(found["port"]) < 65536:
        brackets = "; an IPv6 address takes brackets: [::1]:50051" if part.count(":") > 1 else ""
        raise InvalidInputError(
            f"'{printable(part)}' is not a server; write host:port, for example localhost:50051{brackets}"
        )
    return found["v6"] or found["name"], int(found["port"])


def _preferred(found: list[Address], port: int) -> Address:
    # IPv4 first: "localhost" has both families, and servers listen on 127.0.0.1 more often than on ::1.
    family, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, _joined(address, port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
