"""Minimal servers on both transports: constant replies, requests ignored.

`bare_servers.py grpc PORT` or `bare_servers.py pyvoy PORT ADMIN_PORT`; pyvoy embeds `bare_servers:app`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

PAYLOAD = b"x" * 300
_FRAME = b"\0" + len(PAYLOAD).to_bytes(4, "big") + PAYLOAD
_HEADERS = [(b"content-type", b"application/grpc")]
_START = {"type": "http.response.start", "status": 200, "headers": _HEADERS, "trailers": True}
_BODY = {"type": "http.response.body", "body": _FRAME, "more_body": False}
_END = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")], "more_trailers": False}
_TYPES = "type.googleapis.com/envoy.extensions.filters"


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """A minimal ASGI application for gRPC."""
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send(_BODY)
    await send(_END)


async def serve_grpc(port: int) -> None:
    """A minimal grpc.aio server."""
    import grpc
    from grpc import aio

    async def answer(request: bytes, context: object) -> bytes:
        return PAYLOAD

    server = aio.server(options=(("grpc.so_reuseport", 0),))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "GetVideo": grpc.unary_unary_rpc_method_handler(answer)
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("gostream.v1.VideoService", handlers),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def become_pyvoy(port: int, admin: int) -> None:
    """Replaces the process by Envoy with pyvoy's filter alone. Does not return."""
    from gostream_api.fast_door.envoy_config import envoy_program, pyvoy_module, variables

    settings = {
        "app": "bare_servers:app",
        "interface": "asgi",
        "root_path": "",
        "loop": "uvloop",
        "lifespan": False,
    }
    pyvoy = {
        "@type": f"{_TYPES}.http.dynamic_modules.v3.DynamicModuleFilter",
        "dynamic_module_config": {"module": {"local": {"filename": pyvoy_module()}}},
        "filter_name": "pyvoy",
        "terminal_filter": True,
        "filter_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(settings),
        },
    }
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"]}]},
        "http_filters": [{"name": "pyvoy", "typed_config": pyvoy}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "bare", "address": _address(port), "filter_chains": [chain]}
    config = {"admin": {"address": _address(admin)}, "static_resources": {"listeners": [listener]}}
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    environment = {**os.environ, **variables()}
    environment["PYTHONPATH"] = os.path.dirname(__file__) + os.pathsep + environment["PYTHONPATH"]  # noqa: PTH120
    options = ("--concurrency", "1", "--disable-hot-restart", "-l", "error")
    os.execve(envoy_program(), ["envoy", "-c", file.name, *options], environment)  # noqa: S606


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


if __name__ == "__main__":
    import uvloop

    kind, *ports = sys.argv[1:]
    if kind == "pyvoy":
        become_pyvoy(int(ports[0]), int(ports[1]))
    uvloop.run(serve_grpc(int(ports[0])))
