"""Turns traces on for one process, if the configuration has a collector."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from gostream_shared.config import Config
from gostream_shared.observability.tracing import spans

#: Seconds at the end of a service for the spans that were not exported yet.
FLUSH_TIMEOUT = 3.0

_log = structlog.stdlib.get_logger("gostream.traces")


@asynccontextmanager
async def open_tracing(config: Config, service: str) -> AsyncIterator[None]:
    """Record traces until the block ends, then export the rest within FLUSH_TIMEOUT seconds.

    Does nothing, and imports nothing, without OTEL_EXPORTER_OTLP_ENDPOINT or with OTEL_SDK_DISABLED. Open it
    before everything that is traced. A collector that fails never delays or fails a call: spans wait in a
    bounded queue and are dropped when it is full.
    """
    endpoint = config.otel_exporter_otlp_endpoint
    if endpoint is None or config.otel_sdk_disabled:
        yield
        return
    from gostream_shared.observability.tracing.export import begin_export

    finish = begin_export(endpoint, service, config.otel_traces_sampler, config.otel_traces_sampler_arg)
    _log.info("traces on", collector=endpoint, sampler=config.otel_traces_sampler, pid=os.getpid())
    try:
        yield
    finally:
        spans.install(None)
        await _in_time(finish)


async def _in_time(finish: Callable[[], None]) -> None:
    """Run in a thread that the end of the process does not wait for."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        finish()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="traces", daemon=True).start()
    try:
        async with asyncio.timeout(FLUSH_TIMEOUT):
            await done.wait()
    except TimeoutError:
        _log.warning("spans not exported in time", seconds=FLUSH_TIMEOUT)
