"""Runs as a script in the child: drops privileges and sets limits, then executes the program.

    launcher.py PARENT_PID MEMORY CPU_SECONDS FILE_BYTES OPEN_FILES CONFINEMENT PROGRAM [ARGUMENT…]

CONFINEMENT is a Confinement as JSON; if empty, the program confines itself before it reads untrusted data. A
launcher replaces a preexec function, which is unsafe in a process with threads. It imports only the standard
library and costs about 20 ms.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # -I -S disables the package paths
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
    if os.getppid() != parent:  # the worker died before prctl took effect
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
    # The environment is not inherited. HOME is set because Python otherwise queries the user database.
    os.execve(command[0], command, {"HOME": "/nonexistent"})  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
