"""Decides whether the servers' account can run the API and the workers.

Their interpreter, their packages and the clone may be below a directory closed to others (/root). Unlike the
servers' programs they are not copied: the services run from the clone that is edited.
"""

import os
import py_compile
import stat
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from gostream_devstack.host import launcher
from gostream_devstack.host.directories import REPOSITORY, Account, Directories

SERVICES = ("gostream_api.app", "gostream_worker.app")
TIMEOUT = 60.0
#: Imports the services and prints the sources whose compiled form is unreadable.
TRIAL = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for module in list(sys.modules.values()):
    spec = getattr(module, "__spec__", None)
    if getattr(spec, "cached", None) and not os.access(spec.cached, os.R_OK):
        print(spec.origin)
"""


def account_of_services(directories: Directories) -> Account | None:
    """Returns the account of the services; None: the user of this process."""
    return directories.account if directories.account and obstacle(directories.account) is None else None


@cache
def obstacle(account: Account) -> str | None:
    """Returns why the account cannot run the services, or None.

    Compiles sources that the account cannot compile itself.
    """
    interpreter = Path(sys.executable)
    for place in (interpreter, interpreter.resolve(), Path(sys.base_prefix), Path(sys.prefix), REPOSITORY):
        if closed := closed_above(place):
            return f"{closed} is closed to others and holds {place}"
    try:
        trial = _try(account)
    except subprocess.TimeoutExpired:
        return f"they were not imported within {TIMEOUT:.0f} s by an account of lower rights"
    if trial.returncode != 0:
        last = (trial.stderr.strip().splitlines() or [f"exit code {trial.returncode}"])[-1]
        return f"an account of lower rights cannot import them: {last}"
    if not sys.dont_write_bytecode:
        _compile(Path(line) for line in trial.stdout.splitlines())
    return None


def closed_above(place: Path) -> Path | None:
    """Returns the first directory above `place`, or `place` itself, that others may not enter or run."""
    for each in (*reversed(place.parents), place):
        if not each.stat().st_mode & stat.S_IXOTH:
            return each
    return None


def _try(account: Account) -> "subprocess.CompletedProcess[str]":
    start = (sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), f"{account.uid}:{account.gid}")
    return subprocess.run(  # noqa: S603  (our own programs)
        [*start, "9", sys.executable, "-c", TRIAL, *SERVICES],
        cwd="/",
        env={**os.environ, "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _compile(sources: Iterable[Path]) -> None:
    """Writes compiled forms of the clone's and the interpreter's sources, readable by others.

    A source whose compiled form cannot be written is skipped.
    """
    ours = (Path(sys.prefix), Path(sys.base_prefix), REPOSITORY)
    for source in sources:
        if not any(source.is_relative_to(place) for place in ours):
            continue
        with suppress(OSError, py_compile.PyCompileError):
            compiled = Path(cache_from_source(str(source)))
            py_compile.compile(str(source), str(compiled), doraise=True)
            for path, mode in ((compiled, 0o644), (compiled.parent, 0o755)):  # independent of the umask
                path.chmod(mode)
