"""A service's life: run until a signal, then stop gracefully."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

from gostream_shared.config import AnyConfig, Config, ConfigError, describe, load
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.observability.logs import configure_logs


def run_service(
    name: str, summary: str, kind: type[AnyConfig], serve: Callable[[AnyConfig], Awaitable[None]]
) -> None:
    """The `main` of a service without flags of its own: `--help`, then `run_configured`."""
    service_parser(name, summary, kind).parse_args()
    run_configured(name, kind, serve)


def service_parser(name: str, summary: str, kind: type[Config]) -> argparse.ArgumentParser:
    """A parser whose `--help` lists the environment."""
    return argparse.ArgumentParser(
        prog=name,
        description=summary,
        epilog="environment:\n" + describe(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_configured(name: str, kind: type[AnyConfig], serve: Callable[[AnyConfig], Awaitable[None]]) -> None:
    """Read the configuration, then `run_with` it. Exits 2 when it is wrong."""
    try:
        config = load(kind)
    except ConfigError as error:
        print(f"{name}: the configuration is wrong\n{error}", file=sys.stderr)
        sys.exit(2)
    run_with(name, config, serve)


def run_with(name: str, config: AnyConfig, serve: Callable[[AnyConfig], Awaitable[None]]) -> None:
    """Logs, uvloop, and `serve`, which returns after a graceful stop. Exits 1 when it fails."""
    configure_logs(service=name, level=config.log_level, form=config.log_format)

    async def body() -> None:
        await serve(config)

    try:
        uvloop.run(body())
    except GoStreamError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
