"""Sends one HTTP request to a server that may not be up yet."""

import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path

from gostream_devstack.host.ports import HOST

NO_ANSWER = (0, b"")


def request(
    port: int,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    authority: Path | None = None,
) -> tuple[int, bytes]:
    """Returns status and body; `NO_ANSWER` without a response. By TLS with the server's `authority`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    if authority:
        context = ssl.create_default_context(cafile=authority)
        connection = http.client.HTTPSConnection(HOST, port, timeout=5, context=context)
    try:
        connection.request(method, target, body, dict(headers or {}))
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return NO_ANSWER
    finally:
        connection.close()
