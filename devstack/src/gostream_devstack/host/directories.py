"""The servers' directories and their account.

PostgreSQL refuses to run as root, and no other server needs root. If the supervisor is root, the servers run
as `nobody`, which must be able to reach their directories and programs. A home directory closed to others
(/root) prevents both: the directories then move to /var/tmp, reached by a symbolic link, and the programs are
copied into them. `interpreter.py` decides whether the API and the workers can run as `nobody`.
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

REPOSITORY = Path(__file__).parents[4]  # devstack runs from a checkout and uses its deploy/ and protos/
OUTSIDE = Path("/var/tmp")  # noqa: S108  (mkdtemp makes the directory; it must survive a reboot)


@dataclass(frozen=True)
class Account:
    """User and group of the native servers if the supervisor is root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Directories:
    """The directories of one instance: `logs/` for people, `servers/<name>/` for the servers."""

    logs: Path
    servers: Path
    account: Account | None

    @classmethod
    def at(cls, root: Path) -> "Directories":
        """Creates or finds the directories below `root`."""
        account = _nobody() if os.geteuid() == 0 else None
        root.mkdir(parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid():
            raise StackError(f"{root} belongs to another user; remove it or choose another with --state-dir")
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
        """Creates a directory that only the servers' account may enter."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(path)
        return path

    def write(self, path: Path, content: str | bytes) -> Path:
        """Writes a file that only the servers' account may read."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._give(path)
        return path

    def reachable(self, base: Path, *parts: str) -> Path:
        """Returns `base`, or a copy of its `parts` if the servers' account cannot use them."""
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
        """Deletes all data of the servers, including the moved directory."""
        shutil.rmtree(self.servers, ignore_errors=True)
        link = self.logs.parent / "servers"
        if link.is_symlink():
            link.unlink()

    def give_all(self, path: Path, account: Account | None) -> None:
        """Makes the account the owner of a directory and its content, including files of earlier accounts."""
        if account:
            for each in (path, *path.rglob("*")):
                os.chown(each, account.uid, account.gid, follow_symlinks=False)

    def _give(self, path: Path) -> None:
        if self.account and path.stat().st_uid != self.account.uid:
            self.give_all(path, self.account)


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
