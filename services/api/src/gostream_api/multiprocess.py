"""API_PROCESSES: several processes share one port; the kernel distributes connections (SO_REUSEPORT)."""

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess

import structlog

from gostream_api.config import METRICS_STEP, ApiConfig
from gostream_shared.domain.errors import MisconfiguredError
from gostream_shared.lifecycle import MISCONFIGURED, stop_signal
from gostream_shared.listening import CannotListenError

_log = structlog.stdlib.get_logger("gostream.processes")

#: Seconds before a process that exited unexpectedly is restarted.
RESTART_DELAY = 1.0
#: Seconds after the configured delay and grace before a process is killed.
_PATIENCE = 10.0
# Spawned instead of forked: threads and event loops do not survive a fork.
_spawn = multiprocessing.get_context("spawn")

#: Serves in a child process. It must be a module-level function, because `spawn` imports it by name.
Target = Callable[[ApiConfig], None]


async def supervise(config: ApiConfig, target: Target) -> None:
    """Keep `api_processes` processes running until SIGTERM or SIGINT, then let them stop gracefully.

    Each process serves its own metrics, on `metrics_port`, `metrics_port` + METRICS_STEP and so on. Raises
    CannotListenError, and MisconfiguredError if a process exits with MISCONFIGURED: its log has the cause.
    """
    kept: list[asyncio.Task[bool]] = []
    with _reserved_port(config.api_host, config.api_port) as port, ExitStack() as held:
        if config.read_port:
            held.enter_context(_reserved_port(config.api_host, config.read_port))
        if config.admin_port:
            held.enter_context(_reserved_port(config.admin_host, config.admin_port))
        async with stop_signal() as stop, asyncio.TaskGroup() as keepers:
            for number in range(config.api_processes):
                own = {
                    "api_port": port,
                    "metrics_port": config.metrics_port and config.metrics_port + METRICS_STEP * number,
                }
                keeping = _keep_running(config.model_copy(update=own), target, stop)
                kept.append(keepers.create_task(keeping))
        if not all(task.result() for task in kept):
            raise MisconfiguredError("a process cannot start; see its log")


def leave_with_parent(stop: asyncio.Event) -> None:
    """In a child process: set `stop` when the supervisor exits for any reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(parent.sentinel)
            stop.set()

        loop.add_reader(parent.sentinel, gone)


async def _keep_running(config: ApiConfig, target: Target, stop: asyncio.Event) -> bool:
    """Restart the process until `stop` is set. Sets `stop` and returns False if it is misconfigured."""
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
            _log.error("process exited unexpectedly", pid=process.pid, code=process.exitcode)
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
        _log.error("process did not stop in time, killing", pid=process.pid)
        process.kill()
        await ended


@contextmanager
def _reserved_port(host: str, port: int) -> Iterator[int]:
    """Bind the port without listening, so that no other program can bind it exclusively."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # ApiConfig has removed brackets
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))  # fails if another server already shares it
        with socket.socket(family) as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host, port))
            yield int(held.getsockname()[1])
    except OSError:
        raise CannotListenError(host, port) from None
