"""Runs an instance in the foreground until Ctrl-C, or detached."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gostream_devstack.errors import PortLostError, StackError
from gostream_devstack.host import issuer, orphans
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.screen import Screen
from gostream_devstack.host.state import State, holder, locked
from gostream_devstack.instance import run_file
from gostream_devstack.instance.stack import USUAL_PORTS, Options, Stack
from gostream_devstack.servers.supervisor import Report, Watcher

COMMAND = "gostream-devstack"
STOP_TIMEOUT = 60.0
#: Attempts to choose ports: another program may take one before its server listens.
PORT_CHOICES = 4


def run_foreground(root: Path, options: Options, screen: Screen, *, auth: bool = False) -> None:
    """Starts everything, monitors it until a signal arrives, and stops everything.

    With `auth`, the API requires tokens of a key that is made now.
    """
    directories = Directories.at(root)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # ignored by nohup
            signal.signal(number, signal.default_int_handler)
    with locked(root):
        run_file.withdraw(root)
        reaped = orphans.reap(directories.servers)
        if reaped:
            screen.say(f"killed processes of an earlier run: {reaped}")
        issuer.forget(root)
        if auth:
            options = replace(options, issuer=issuer.TokenIssuer.create(root))
        state = State.load(root)
        ports = Ports(state.ports, screen.say)

        def make() -> Stack:
            stack = Stack(directories, state, ports, options, USUAL_PORTS)
            state.save(root)
            return stack

        _run(root, make, ports, screen)


def start_somewhere(
    make: Callable[[], Stack], ports: Ports, report: Report, say: Callable[[str], None]
) -> Stack:
    """Returns a started stack. If it loses a port to another program, it is recreated with new ports."""
    for _ in range(PORT_CHOICES - 1):
        stack = make()
        try:
            stack.start(report)
        except PortLostError as error:  # all servers are stopped at this point
            say(f"{str(error).splitlines()[0]} choosing another port")
            ports.forget_taken()
        else:
            return stack
    stack = make()
    stack.start(report)
    return stack


def _run(root: Path, make: Callable[[], Stack], ports: Ports, screen: Screen) -> None:
    stack: Stack | None = None
    try:
        with screen:
            stack = start_somewhere(make, ports, screen.report, screen.say)
        run_file.publish(root, os.getpid(), stack)
        screen.summary(stack.env, COMMAND)
        for sentence in stack.missing:
            screen.say(sentence)
        _watch(root, stack, screen)
    except KeyboardInterrupt:
        screen.say("stopping")
    finally:
        run_file.withdraw(root)
        if stack is not None:  # otherwise `Stack.start` stopped it
            stack.stop()


def _watch(root: Path, stack: Stack, screen: Screen) -> None:
    watcher = Watcher(stack.servers, screen.report)
    while True:
        time.sleep(0.2)
        if watcher.check():
            run_file.publish(root, os.getpid(), stack)


def detach(root: Path, arguments: list[str], say: Callable[[str], None]) -> None:
    """Starts an instance in the background. Returns once it is ready, or raises StackError."""
    root.mkdir(parents=True, exist_ok=True)
    if supervisor := holder(root):
        raise StackError(f"{root} is in use by process {supervisor}; stop it with `{COMMAND} down`")
    log = root / "supervisor.log"
    with log.open("w") as output:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "gostream_devstack", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(root, child, log, say)
    except KeyboardInterrupt:
        child.terminate()
        raise


def _wait_until_up(
    root: Path, child: "subprocess.Popen[bytes]", log: Path, say: Callable[[str], None]
) -> None:
    with log.open() as lines:
        while True:
            ended = child.poll() is not None
            up = run_file.find(root) is not None
            for line in lines:
                say(line.rstrip("\n"))
            if ended:
                raise StackError(f"the stack did not start; see {log}")
            if up:
                return
            time.sleep(0.05)


def down(root: Path) -> bool:
    """Stops the instance and the processes left by a killed one. Returns False if none was running."""
    supervisor = holder(root)
    if supervisor is not None:
        os.kill(supervisor, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        while holder(root) == supervisor and time.monotonic() < deadline:
            time.sleep(0.05)
        if holder(root) == supervisor:
            os.kill(supervisor, signal.SIGKILL)
    reaped = orphans.reap((root / "servers").resolve())
    return supervisor is not None or reaped > 0


def wipe(root: Path) -> None:
    """Deletes all data of a stopped instance."""
    if root.exists():
        with locked(root):
            Directories.at(root).remove()
            shutil.rmtree(root)
