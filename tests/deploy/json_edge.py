"""Helper for the JSON edge tests: one request and its response."""

import http.client
import json
from typing import Any

from gostream_devstack.servers.envoy import Envoy


def ask(
    envoy: Envoy, target: str, method: str = "GET", body: object = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Returns status, decoded JSON (or text) and headers. Sends bytes and iterables unencoded."""
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, _encoded(body), names)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, _decoded(text), {k.lower(): v for k, v in reply.getheaders()}
    finally:
        connection.close()


def _encoded(body: object) -> Any:
    return json.dumps(body) if isinstance(body, dict) else body


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
