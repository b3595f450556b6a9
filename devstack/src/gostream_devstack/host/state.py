"""The persistent state of one instance: its ports and secrets."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gostream_devstack.errors import StackError

SECRETS = (
    *("postgres_password", "redis_password", "cdn_refresh_secret", "edge_origin_secret"),
    *("s3_access_key", "s3_secret_key", "s3_admin_access_key", "s3_admin_secret_key", "s3_signing_key"),
    *("playback_key_a", "playback_key_b"),
    *("s3_api_access_key", "s3_api_secret_key", "s3_worker_access_key", "s3_worker_secret_key"),
)


@dataclass
class State:
    """Created once per state directory, so that a restart finds the same passwords and ports."""

    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(16) for name in SECRETS})

    @classmethod
    def load(cls, root: Path) -> "State":
        """Returns the saved state below `root`, or new secrets and no ports. Creates missing secrets."""
        path = root / "state.json"
        if not path.exists():
            return cls()
        saved = json.loads(path.read_text())
        return cls(saved["ports"], cls().secrets | saved["secrets"])

    def save(self, root: Path) -> None:
        """Writes the state atomically, readable only by its owner."""
        write_private(
            root / "state.json", json.dumps({"ports": self.ports, "secrets": self.secrets}, indent=2)
        )


def write_private(path: Path, text: str) -> None:
    """Replaces a file by one that only its owner may read."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Holds the instance's lock. The kernel releases it when the process dies."""
    with (root / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"{root} is in use by process {holder(root)}; stop it with `down`") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder(root: Path) -> int | None:
    """Returns the process that holds the instance, or None."""
    path = root / "lock"
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = lock.read()
            return int(text) if text else None
    return None
