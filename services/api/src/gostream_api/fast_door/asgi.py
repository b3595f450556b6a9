"""The ASGI application that Envoy embeds: `gostream_api.fast_door.asgi:app`, configured by the environment.

It runs in a thread of Envoy's process with a separate event loop. Its lifespan opens all resources; if one
cannot be opened, Envoy does not start and logs the reason.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prometheus_client import Gauge

from gostream_api.config import DoorConfig
from gostream_api.fast_door.unary_call import Gate, Method, Receive, Send
from gostream_api.read_stack import open_reads
from gostream_api.reads.ports import LocalVideoReader
from gostream_api.rpc.encoded_reads import READ_CALLS
from gostream_shared.config import ConfigError, load
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.observability.logs import configure_logs
from gostream_shared.observability.metrics import serve_metrics

SERVICE = "/gostream.v1.VideoService/"
READY = "/readyz"
#: Longest wait in seconds for a proven bus before calls are accepted; without it, calls read Redis.
_BUS_PATIENCE = 2.0
#: Threshold of the garbage collector's youngest generation; Python's default is 700.
_YOUNG = 50_000

_BUS_LIVE = Gauge(
    "gostream_door_bus_live", "1 while L1 entries may be served: the bus is proven and not silent"
)


class Door:
    """An ASGI application with two gRPC methods and a readiness page."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}
        self._is_live: Callable[[], bool] = bool

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif method := self._methods.get(scope["path"]):
            if scope["method"] == "POST":
                await method(scope["headers"], receive, send)
            else:
                await _say(send, 405, b"gRPC requires POST\n")
        elif scope["path"] == READY:
            bus = b"live" if self._is_live() else b"down"
            await _say(send, 200, b'{"status":"SERVING","bus":"%b"}\n' % bus)
        else:
            await _say(send, 404, b"not found\n")

    @asynccontextmanager
    async def open(self, config: DoorConfig) -> AsyncIterator[None]:
        """Serve calls until the block ends. Raises BackendUnavailableError and OSError."""
        async with open_reads(config) as reads, serve_metrics(config.metrics_host, config.metrics_port):
            await _until_live(lambda: reads.videos.is_live)
            self.serve(reads.videos, lambda: reads.videos.is_live, config.max_concurrent_rpcs)
            yield
            self._methods = {}

    def serve(self, reads: LocalVideoReader, is_live: Callable[[], bool], max_calls: int) -> None:
        """Serve calls from `reads`."""
        gate = Gate(max_calls)
        self._is_live = is_live
        _BUS_LIVE.set_function(lambda: float(is_live()))
        self._methods = {
            SERVICE + name: Method(SERVICE + name, call, reads, gate) for name, call in READ_CALLS.items()
        }

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                config = load(DoorConfig)
                configure_logs(service="gostream-door", level=config.log_level, form=config.log_format)
                await stack.enter_async_context(self.open(config))
            except (ConfigError, GoStreamError, OSError) as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            _spare_the_collector()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Freeze the existing objects and collect garbage rarely.

    Calls leave little cyclic garbage, and the default collector takes a tenth of the door's CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


async def _until_live(is_live: Callable[[], bool]) -> None:
    """Wait for the bus, at most `_BUS_PATIENCE` seconds: without Redis, calls are served, but not from L1."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _BUS_PATIENCE
    while not is_live() and loop.time() < until:
        await asyncio.sleep(0.01)


async def _say(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": False})


app = Door()
