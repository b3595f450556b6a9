"""Runs a command under strace and reports which files and sockets its processes open."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SYSCALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)")
_SPAWNS = frozenset({"clone", "clone3", "fork", "vfork"})
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class Process:
    """System calls of one process or thread on files, networks and processes, in order."""

    calls: list[tuple[str, str, int]] = field(default_factory=list)  # name, arguments, result

    @property
    def children(self) -> list[int]:
        return [result for name, _, result in self.calls if name in _SPAWNS and result > 0]

    def executes(self, program: str) -> bool:
        return any(name == "execve" and program in args and not result for name, args, result in self.calls)


class Trace:
    """All processes of one run, by id."""

    def __init__(self, processes: dict[int, Process]) -> None:
        self._processes = processes

    @classmethod
    def of(cls, command: Sequence[str], folder: Path, *, timeout: float, cwd: Path | None = None) -> "Trace":
        """Runs the command. Writes one record per process to `folder`, so that lines are not interleaved."""
        # Not --seccomp-bpf: it hides calls that the children's seccomp filter refuses.
        options = ["-f", "-ff", "-qq", "-s", "4096", "-e", "trace=%file,%network,%process"]
        subprocess.run(
            ["strace", *options, "-o", str(folder / "trace"), *command],
            capture_output=True, timeout=timeout, cwd=cwd, check=False,
        )  # fmt: skip
        records = {int(path.suffix[1:]): _read(path) for path in folder.glob("trace.*")}
        return cls(records)

    def below(self, program: str) -> list[Process]:
        """Processes that executed the program, and their descendants."""
        roots = [pid for pid, process in self._processes.items() if process.executes(program)]
        return [self._processes[pid] for pid in self._family(roots) if pid in self._processes]

    def _family(self, roots: Iterable[int]) -> set[int]:
        family, waiting = set[int](), list(roots)
        while waiting:
            pid = waiting.pop()
            if pid not in family and pid in self._processes:
                family.add(pid)
                waiting += self._processes[pid].children
        return family


def sockets(processes: Iterable[Process]) -> list[str]:
    """Every call that creates or uses a socket, including failed calls."""
    network = {
        "socket",
        "socketpair",
        "connect",
        "bind",
        "sendto",
        "recvfrom",
        "sendmsg",
        "listen",
        "accept4",
    }
    return [f"{name}({args})" for process in processes for name, args, _ in process.calls if name in network]


def connected(processes: Iterable[Process]) -> set[str]:
    """The addresses of all connect() calls, verbatim."""
    return {
        args.partition(", ")[2].rpartition(", ")[0]
        for process in processes
        for name, args, _ in process.calls
        if name == "connect"
    }


def opened(processes: Iterable[Process]) -> Iterator[str]:
    """The paths of all open calls, verbatim, including failed ones.

    Excludes O_PATH, with which the sandbox names its allowed paths: it gives no access to content.
    """
    for process in processes:
        for name, args, _ in process.calls:
            found = _PATH.search(args)
            if name in _OPENS and found and "O_PATH" not in args:
                yield found[1]


def _read(path: Path) -> Process:
    process = Process()
    for line in path.read_text(errors="replace").splitlines():
        found = _SYSCALL.match(line)
        if found:
            result = -1 if found[3] == "?" else int(found[3])
            process.calls.append((found[1], found[2], result))
    return process
