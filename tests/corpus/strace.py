"""Running a command under strace, and what its jailed children have opened."""

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
    """One process or thread: the system calls that concern files, networks and other processes, in order."""

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
        """Run the command to its end; `folder` takes the records. One file a process keeps lines whole."""
        # Not --seccomp-bpf: with it strace never sees what the children's own filter refuses.
        options = ["-f", "-ff", "-qq", "-s", "4096", "-e", "trace=%file,%network,%process"]
        subprocess.run(
            ["strace", *options, "-o", str(folder / "trace"), *command],
            capture_output=True, timeout=timeout, cwd=cwd, check=False,
        )  # fmt: skip
        records = {int(path.suffix[1:]): _read(path) for path in folder.glob("trace.*")}
        return cls(records)

    def below(self, program: str) -> list[Process]:
        """Those that executed the program, with all that they started."""
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
    """Every call that makes or uses a socket, whether or not it succeeded."""
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
    """Every address that was connected to, as it was given."""
    return {
        args.partition(", ")[2].rpartition(", ")[0]
        for process in processes
        for name, args, _ in process.calls
        if name == "connect"
    }


def opened(processes: Iterable[Process]) -> Iterator[str]:
    """Every path that was opened, as it was given; failures too, for they show what was looked for.

    Without those opened with O_PATH, which gives no content: the sandbox names what it allows by them.
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
