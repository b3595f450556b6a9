"""API_PROCESSES: several processes behind one port; the kernel deals out the connections (SO_REUSEPORT)."""

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import structlog

from gostream_api.config import METRICS_STEP, ApiConfig
from gostream_shared.domain.errors import MisconfiguredError
from gostream_shared.lifecycle import MISCONFIGURED, stop_signal
from gostream_shared.listening import CannotListenError

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

    Each serves its own metrics, on `metrics_port` and every METRICS_STEP ports above it. Raises
    CannotListenError, and MisconfiguredError if a process ends with MISCONFIGURED: its log says why.
    """
    kept: list[asyncio.Task[bool]] = []
    with _reserved_port(config.api_host, config.api_port) as port:
        async with stop_signal() as stop, asyncio.TaskGroup() as keepers:
            for number in range(config.api_processes):
                own = {
                    "api_port": port,
                    "metrics_port": config.metrics_port and config.metrics_port + METRICS_STEP * number,
                }
                keeping = _keep_running(config.model_copy(update=own), target, stop)
                kept.append(keepers.create_task(keeping))
        if not all(task.result() for task in kept):
            raise MisconfiguredError("a process cannot start; its own log says why")


def leave_with_parent(stop: asyncio.Event) -> None:
    """Within such a process: stop when the supervisor is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(parent.sentinel)
            stop.set()

        loop.add_reader(parent.sentinel, gone)


async def _keep_running(config: ApiConfig, target: Target, stop: asyncio.Event) -> bool:
    """Until `stop` is set. False if the process cannot start as it is configured: that sets `stop`."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            process = _spawn.Process(target=target, args=(config,), name=f"api-{config.metrics_port}")
            process.start()
            ended = asyncio.create_task(asyncio.to_thread(process.join))
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await _end(process, ended, config)
                break
            _log.error("a process ended by itself", pid=process.pid, code=process.exitcode)
            if process.exitcode == MISCONFIGURED:
                stop.set()
                return False
            await asyncio.wait((stopping,), timeout=RESTART_DELAY)
    finally:
        stopping.cancel()
    return True


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # ApiConfig has removed brackets
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))  # fails when another server shares it already
        with socket.socket(family) as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host, port))
            yield int(held.getsockname()[1])
    except OSError:
        raise CannotListenError(host, port) from None
