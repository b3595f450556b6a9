"""Runs a service until a signal, then stops it gracefully."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
import uvloop

from gostream_shared.config import AnyConfig, Config, ConfigError, describe, load
from gostream_shared.config_names import doubtful
from gostream_shared.domain.errors import (
    BackendRefusedError,
    BackendUnavailableError,
    GoStreamError,
    MisconfiguredError,
)
from gostream_shared.observability.logs import configure_logs

_log = structlog.stdlib.get_logger("gostream.config")

#: Exit code of a start that cannot succeed before the configuration or a backend changes.
MISCONFIGURED = 2


def run_service(
    name: str, summary: str, kind: type[AnyConfig], serve: Callable[[AnyConfig], Awaitable[None]]
) -> None:
    """The `main` of a service without command-line options: handles `--help`, then calls `run_configured`."""
    service_parser(name, summary, kind).parse_args()
    run_configured(name, kind, serve)


def service_parser(name: str, summary: str, kind: type[Config]) -> argparse.ArgumentParser:
    """Returns a parser whose `--help` lists the environment variables."""
    return argparse.ArgumentParser(
        prog=name,
        description=summary,
        epilog="environment:\n" + describe(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_configured(name: str, kind: type[AnyConfig], serve: Callable[[AnyConfig], Awaitable[None]]) -> None:
    """Read the configuration, then call `run_with`. Exits 2 if the configuration is invalid."""
    try:
        config = load(kind)
    except ConfigError as error:
        print(f"{name}: the configuration is wrong\n{error}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    configure_logs(service=name, level=config.log_level, form=config.log_format)
    for doubt in doubtful(os.environ):
        _log.warning("variable without effect", reason=doubt)
    run_with(name, config, serve)


def run_with(name: str, config: AnyConfig, serve: Callable[[AnyConfig], Awaitable[None]]) -> None:
    """Configure logs and run `serve` on uvloop; `serve` returns after a graceful stop.

    Exits 1 if it fails, and MISCONFIGURED if a backend rejects this service until it is reconfigured.
    """
    configure_logs(service=name, level=config.log_level, form=config.log_format)

    async def body() -> None:
        await serve(config)

    try:
        uvloop.run(body())
    except BackendRefusedError as error:
        print(f"{name}: the {error.backend} refuses this service: {error.cause}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    except BackendUnavailableError as error:
        print(f"{name}: {error}: {error.cause}", file=sys.stderr)
        sys.exit(1)
    except MisconfiguredError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    except GoStreamError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """Yields an event that SIGTERM or SIGINT sets. A second signal ends the process at once."""
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
