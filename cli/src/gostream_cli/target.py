"""From what a person writes as the server to what gRPC dials."""

import asyncio
import socket

from gostream_cli.errors import UnreachableError, UsageError

MAX_SERVERS = 64


async def dial_target(server: str) -> str:
    """The gRPC target of "host:port" or of several, comma-separated, which are taken in turn.

    Several names are resolved here, because gRPC's list targets take addresses only.
    """
    parts = [part.strip() for part in server.split(",") if part.strip()]
    if not parts or len(parts) > MAX_SERVERS:
        raise UsageError(f"the server must be host:port, or up to {MAX_SERVERS} of them with commas between")
    pairs = [_split(part) for part in parts]
    if len(pairs) == 1:
        return f"dns:///{parts[0]}"
    addresses = [await _resolve(host, port) for host, port in pairs]
    families = {family for family, _ in addresses}
    if len(families) > 1:
        raise UsageError("the servers must be all IPv4 or all IPv6")
    scheme = "ipv6" if socket.AF_INET6 in families else "ipv4"
    return f"{scheme}:" + ",".join(address for _, address in addresses)


def _split(part: str) -> tuple[str, int]:
    host, colon, port = part.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise UsageError(f"{part!r} is not a server; write host:port, for example localhost:50051")
    return host.strip("[]"), int(port)


async def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(5):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        raise UnreachableError(f"the server name {host!r} cannot be resolved") from None
    # IPv4 first: "localhost" means both, and servers on loopback listen on 127.0.0.1 more often than on ::1.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    text = f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
    return family, text
