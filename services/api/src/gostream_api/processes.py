"""API_PROCESSES: several processes behind one port; the kernel deals out the connections (SO_REUSEPORT)."""

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import structlog

from gostream_api.config import ApiConfig
from gostream_api.server import CannotListenError
from gostream_shared.lifecycle import stop_signal

_log = structlog.stdlib.get_logger("gostream.processes")

#: Seconds until a process that ended by itself is begun anew.
RESTART_DELAY = 1.0
#: Seconds beyond the configured delay and grace after which a process is killed.
_PATIENCE = 10.0
# Not forked: threads and event loops do not survive that.
_spawn = multiprocessing.get_context("spawn")

#: Serves in a process of its own; a module's function, because it is looked up there by name.
Target = Callable[[ApiConfig], None]


async def supervise(config: ApiConfig, target: Target) -> None:
    """Keep `api_processes` processes running until SIGTERM or SIGINT, then let them stop gracefully.

    Each serves its own metrics, on ports counted up from `metrics_port`. Raises CannotListenError.
    """
    with _reserved_port(config.api_host, config.api_port) as port:
        async with stop_signal() as stop, asyncio.TaskGroup() as keepers:
            for number in range(config.api_processes):
                own = {"api_port": port, "metrics_port": config.metrics_port and config.metrics_port + number}
                keepers.create_task(_keep_running(config.model_copy(update=own), target, stop))


def leave_with_parent(stop: asyncio.Event) -> None:
    """Within such a process: stop when the supervisor is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(parent.sentinel)
            stop.set()

        loop.add_reader(parent.sentinel, gone)


async def _keep_running(config: ApiConfig, target: Target, stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            process = _spawn.Process(target=target, args=(config,), name=f"api-{config.metrics_port}")
            process.start()
            ended = asyncio.create_task(asyncio.to_thread(process.join))
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await _end(process, ended, config)
                return
            _log.error("a process ended by itself", pid=process.pid, code=process.exitcode)
            await asyncio.wait((stopping,), timeout=RESTART_DELAY)
    finally:
        stopping.cancel()


async def _end(process: BaseProcess, ended: asyncio.Task[None], config: ApiConfig) -> None:
    process.terminate()
    patience = (config.shutdown_delay + config.shutdown_grace).total_seconds() + _PATIENCE
    _, late = await asyncio.wait((ended,), timeout=patience)
    if late:
        _log.error("a process did not stop and is killed", pid=process.pid)
        process.kill()
        await ended


@contextmanager
def _reserved_port(host: str, port: int) -> Iterator[int]:
    """Hold the port without listening, so that whoever else wants it alone cannot have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))  # fails when another server shares it already
        with socket.socket(family) as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host.strip("[]"), port))
            yield int(held.getsockname()[1])
    except OSError:
        raise CannotListenError(host, port) from None
