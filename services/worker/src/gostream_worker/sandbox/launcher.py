"""Run as a script in the child: give up what it must not have, then become the program.

    launcher.py PARENT_PID MEMORY CPU_SECONDS FILE_BYTES OPEN_FILES CONFINEMENT PROGRAM [ARGUMENT…]

CONFINEMENT is a Confinement as JSON; empty: the program confines itself before it reads anything hostile.
A launcher rather than a preexec function, because those are not safe in a process with threads. It imports
nothing but the standard library, so it costs some 20 ms.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # with -I -S no package is found
from gostream_worker.sandbox.confinement import Confinement, SandboxMissingError

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bound, bound))


def _harden(parent: int) -> None:
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the worker died before it could be tied to it
        sys.exit(1)


def main() -> None:
    parent, memory, cpu, file_bytes, open_files = map(int, sys.argv[1:6])
    confinement, command = sys.argv[6], sys.argv[7:]
    _harden(parent)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, open_files)
    _limit(resource.RLIMIT_CORE, 0)
    try:
        if confinement:
            Confinement.from_json(confinement).enter()
    except (SandboxMissingError, OSError) as error:
        sys.exit(f"sandbox: {error}")
    # The environment stays behind. Without a home Python would ask the system's user database for one.
    os.execve(command[0], command, {"HOME": "/nonexistent"})  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
