"""Asks servers. Every question has a deadline and no answer is an exception."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from grpc import aio
from yarl import URL

from gostream_cli.doctor.findings import Seen, Trouble
from gostream_client import Tls
from gostream_client.connection.channel import dial

#: Seconds for one question.
TIMEOUT = 10.0
_MOST_BYTES = 1 << 16
_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")
_STATUSES = {1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def session_of(tls: Tls | None) -> aiohttp.ClientSession:
    """Returns a session that trusts the usual authorities, and that of the API."""
    trust = ssl.create_default_context()
    if tls is not None and tls.ca_file is not None:
        trust.load_verify_locations(tls.ca_file)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout)


async def look(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
) -> Seen:
    """Returns the answer to one request, without following redirects."""
    try:
        asked = session.request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False
        )
        async with asked as answer:
            start = await answer.content.read(_MOST_BYTES)
            code = _CODE.search(start)
            return Seen(
                url,
                answer.status,
                code=code[1].decode() if code else "",
                start=start,
                allowed_origin=answer.headers.get("access-control-allow-origin", ""),
                offset=_offset(answer.headers.get("date", "")),
            )
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Seen(url, trouble=_trouble(error))


def _trouble(error: Exception) -> Trouble:
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return Trouble.URL
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Trouble.TLS
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Trouble.NAME
    return Trouble.LATE if isinstance(error, TimeoutError) else Trouble.CONNECTION


def _offset(date: str) -> float | None:
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return None


async def health(server: str, tls: Tls | None, service: str) -> str:
    """Returns the health status of a service, or UNREACHABLE."""
    name = service.encode()
    request = b"\n" + bytes([len(name)]) + name if name else b""
    try:
        found = await asyncio.to_thread(dial, server, tls, secret=False)
        # Without the service config: it would wait for the health of the server.
        options = [option for option in found.options if not option[0].startswith("grpc.service_config")]
        channel = (
            aio.secure_channel(found.target, found.credentials, options)
            if found.credentials
            else aio.insecure_channel(found.target, options)
        )
        async with channel:
            check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            answer: bytes = await check(request, timeout=TIMEOUT)
    except aio.AioRpcError as error:
        return "SERVICE_UNKNOWN" if error.code().name == "NOT_FOUND" else "UNREACHABLE"
    return _STATUSES.get(answer[1], "UNKNOWN") if len(answer) == 2 and answer[0] == 8 else "UNKNOWN"
