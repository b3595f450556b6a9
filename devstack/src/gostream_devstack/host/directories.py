"""Where the servers live and as whom they run.

PostgreSQL refuses to run as root, and none of the others should. Started by root they run as `nobody`, who
must be able to reach their directories and programs. Below a home closed to others (/root) neither can be, so
the directories move to /var/tmp (a symbolic link says where) and the programs are copied beside them.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gostream_devstack.errors import StackError

REPOSITORY = Path(__file__).parents[4]  # devstack runs from a checkout, on its deploy/ and protos/
OUTSIDE = Path("/var/tmp")  # noqa: S108  (mkdtemp makes the directory; it must survive a reboot)


@dataclass(frozen=True)
class Account:
    """The user and group that native servers run as when the supervisor is root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Directories:
    """One instance of the stack on disk: `logs/` for the reader, `servers/<name>/` for the servers."""

    logs: Path
    servers: Path
    account: Account | None

    @classmethod
    def at(cls, root: Path) -> "Directories":
        """Make (or find again) the directories below `root`."""
        account = _nobody() if os.geteuid() == 0 else None
        root.mkdir(parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid():
            raise StackError(f"{root} belongs to somebody else; remove it or choose another with --state-dir")
        root.chmod(0o711 if account else 0o700)
        logs = root / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        servers = root / "servers"
        if account and not _open_to_others(root.resolve()):
            _move_outside(servers)
        servers.mkdir(exist_ok=True)
        servers.chmod(0o711)
        return cls(logs, servers.resolve(), account)

    def make(self, path: Path) -> Path:
        """Make a directory that only the servers' account may enter."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(path)
        return path

    def write(self, path: Path, content: str | bytes) -> Path:
        """Write a file that only the servers' account may read."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._give(path)
        return path

    def reachable(self, base: Path, *parts: str) -> Path:
        """`base`, or where the servers' account cannot use its `parts`, a copy of them."""
        base = base.resolve()
        present = [base / part for part in parts if (base / part).exists()]
        if self.account is None or all(_open_to_others(path) for path in (base, *present)):
            return base
        version = [(path, path.stat().st_mtime_ns) for path in present]
        copy = self.servers / "programs" / hashlib.sha256(repr(version).encode()).hexdigest()[:12]
        if not copy.exists():
            _copy(present, copy)
        return copy

    def remove(self) -> None:
        """Delete everything the servers have stored, wherever it is."""
        shutil.rmtree(self.servers, ignore_errors=True)
        link = self.logs.parent / "servers"
        if link.is_symlink():
            link.unlink()

    def _give(self, path: Path) -> None:
        if self.account and path.stat().st_uid != self.account.uid:
            os.chown(path, self.account.uid, self.account.gid)
            for below in path.rglob("*") if path.is_dir() else ():
                os.chown(below, self.account.uid, self.account.gid, follow_symlinks=False)


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _open_to_others(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _move_outside(link: Path) -> None:
    if link.is_symlink() and link.exists():
        return
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(tempfile.mkdtemp(prefix="gostream-", dir=OUTSIDE))


def _copy(sources: list[Path], copy: Path) -> None:
    unfinished = copy.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    unfinished.parent.chmod(0o755)
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, unfinished / source.name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(str(source), str(unfinished / source.name))
    for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    unfinished.rename(copy)


def _link_or_copy(source: str, target: str) -> None:
    mode = Path(source).stat().st_mode
    readable = mode | (0o055 if mode & stat.S_IXUSR else 0o044)
    if mode == readable:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
    else:  # a link would share its permissions with the original
        shutil.copy2(source, target)
        Path(target).chmod(readable)
