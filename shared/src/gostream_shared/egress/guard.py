"""The egress guard: checks the URLs that callers name, and every address before a connection to it.

The check of the URL is for early and clear errors. Only the check of the address protects: it sees the very
address that is dialled, after name resolution, so neither an odd spelling nor a name that changes its address
passes it. Use `open_socket` as the `socket_factory` of an aiohttp.TCPConnector, with `trust_env=False` and
without automatic redirects; aiohttp does not ask a resolver for literals, so a guard there would miss them.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from yarl import URL

from gostream_shared.egress.addresses import Address, Network, is_in, is_public

MAX_URL = 2048
#: The ports of public hosts. Hosts in allowed networks may use any port.
_PORTS = {"https": frozenset({443, 8443}), "http": frozenset({80, 8080})}
_ANY_PORT = frozenset[int]().union(*_PORTS.values())
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
#: A last label that some resolvers read as a part of an IPv4 address: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: What getaddrinfo returns: family, type, protocol, canonical name, socket address.
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class UrlRefusedError(ValueError):
    """The URL may not be requested. The message begins with "must" and may reach a caller."""


class AddressRefusedError(OSError):
    """The address may not be dialled. Its text is constant, so that aiohttp keeps the type for several."""

    def __init__(self) -> None:
        super().__init__("the address is not a public one")


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressGuard:
    """Admits public hosts, and hosts in the networks of `allow`.

    Without `allows_http`, only https URLs are admitted.
    """

    allow: tuple[Network, ...] = ()
    allows_http: bool = False

    @classmethod
    def of(cls, allow: str, *, allows_http: bool) -> "EgressGuard":
        """`allow`: comma-separated networks. Raises ValueError."""
        return cls(allow=networks(allow), allows_http=allows_http)

    def check_url(self, text: str, *, at_most: int = MAX_URL) -> URL:
        """Returns the URL to request, without a fragment. Raises UrlRefusedError.

        Path and query keep their spelling, because signatures may cover it.
        """
        if not text or len(text) > at_most:
            raise UrlRefusedError(f"must have 1 to {at_most} characters")
        if _FORBIDDEN.search(text):
            raise UrlRefusedError("must not contain spaces, backslashes or control characters")
        try:
            url = URL(text)
            host, port = url.raw_host, url.port
        except ValueError:
            raise UrlRefusedError("must be an absolute URL") from None
        if url.scheme not in (("https", "http") if self.allows_http else ("https",)):
            raise UrlRefusedError("must begin with https://")
        if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
            raise UrlRefusedError("must not contain a user or a password")
        if not host or not port:
            raise UrlRefusedError("must name a host, and no port or a port between 1 and 65535")
        if (address := _literal(host)) is not None:
            name, is_permitted = str(address), self.permits(address, port)
        else:
            name = self._check_name(host.lower().removesuffix("."))
            is_permitted = port in _PORTS[url.scheme] or bool(self.allow)
        if not is_permitted:
            raise UrlRefusedError("must name a public host and a usual port")
        exact = URL(text, encoded=True) if text.isascii() else url
        return exact.with_host(name).with_fragment(None)

    def permits(self, address: Address, port: int) -> bool:
        """Returns True if a connection to that address and port is allowed."""
        return is_in(address, self.allow) or (port in _ANY_PORT and is_public(address))

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """Returns a socket for an address. Raises AddressRefusedError before anything is sent to it."""
        family, kind, protocol, _, (host, port, *_) = info
        address = _literal(str(host))
        if address is None or not isinstance(port, int) or not self.permits(address, port):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)

    def _check_name(self, name: str) -> str:
        """Returns the name. A name without a dot belongs to a private network."""
        labels = name.split(".")
        is_name = (
            len(name) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])
        )
        if not is_name or (len(labels) == 1 and not self.allow):
            raise UrlRefusedError("must name a public host")
        return name


def networks(text: str) -> tuple[Network, ...]:
    """Returns the networks of a comma-separated list. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _literal(host: str) -> Address | None:
    """Returns the address that the text is, without its zone, in the only spelling without doubt."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return None if isinstance(address, IPv4Address) and "%" in host else address
