"""`gostream-door`: runs Envoy with the embedded read application, and stops it gracefully on a signal."""

import argparse
import contextlib
import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import yaml

from gostream_api.config import DoorConfig
from gostream_api.cpu_scheduling import schedule
from gostream_api.fast_door.envoy_config import envoy_program, obstacle, variables, with_door
from gostream_shared.config import ConfigError, describe, load

_PR_SET_PDEATHSIG = 1


class Stopping(Exception):  # noqa: N818 - not an error
    """SIGTERM or SIGINT arrived."""


class Envoy:
    """The Envoy process and its admin interface."""

    def __init__(self, config: dict[str, Any], concurrency: int, log_level: str) -> None:
        address = config["admin"]["address"]["socket_address"]
        self._admin = (address["address"], address["port_value"])
        self._config = tempfile.NamedTemporaryFile("w", suffix=".json")  # noqa: SIM115 - lives as long as this object
        json.dump(config, self._config)
        self._config.flush()
        options = ("--disable-hot-restart", "--concurrency", str(concurrency), "-l", log_level)
        self._process = subprocess.Popen(  # noqa: S603 - the program of the wheel
            [envoy_program(), "-c", self._config.name, *options],
            env={**os.environ, **variables()},
            preexec_fn=_die_with(os.getpid()),  # there is no thread yet
        )

    def wait(self) -> int:
        return self._process.wait()

    def stop(self, delay: float, grace: float) -> None:
        """Fail the health check, close the listeners after `delay`, and exit when no call is running."""
        with contextlib.suppress(OSError):
            self._post("/healthcheck/fail")
            time.sleep(delay)
            self._post("/drain_listeners")
            until = time.monotonic() + grace
            while self._at_work() and time.monotonic() < until:
                time.sleep(0.05)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _at_work(self) -> bool:
        reply = self._post("/stats?filter=^http\\.edge\\.downstream_rq_active$", method="GET")
        return not reply.rstrip().endswith(": 0")

    def _post(self, path: str, method: str = "POST") -> str:
        connection = http.client.HTTPConnection(*self._admin, timeout=5)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def main() -> None:
    """Run until SIGTERM or SIGINT. Exits 2 if Envoy cannot run here, else with Envoy's exit code."""
    options = _options()
    if reason := obstacle():
        _give_up(f"{reason}.\nThe fast door is optional: run Envoy without it, with {options.config}.")
    try:
        config = load(DoorConfig)
    except ConfigError as error:
        _give_up(f"the configuration is wrong\n{error}")
    edge, door = (yaml.safe_load(path.read_text()) for path in (options.config, options.door))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stopping)
    schedule(config.scheduling)  # inherited by Envoy's threads
    envoy = Envoy(with_door(edge, door), options.concurrency, options.log_level)
    try:
        sys.exit(envoy.wait())
    except Stopping:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        envoy.stop(config.shutdown_delay.total_seconds(), config.shutdown_grace.total_seconds())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gostream-door",
        description=__doc__,
        epilog="environment:\n" + describe(DoorConfig),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder = Path("/etc/envoy")
    parser.add_argument(
        "--config", type=Path, default=folder / "envoy.yaml", help="configuration of the edge"
    )
    parser.add_argument(
        "--door", type=Path, default=folder / "door.yaml", help="configuration added by the door"
    )
    parser.add_argument("--concurrency", type=int, default=1, help="number of Envoy's worker threads")
    parser.add_argument("--log-level", default="warning", help="Envoy's log level")
    return parser.parse_args()


def _die_with(parent: int) -> Any:
    """Returns a function that makes the child die with its parent."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _raise_stopping(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopping


def _give_up(why: str) -> NoReturn:
    print(f"gostream-door: {why}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
