"""A file with the last key sets fetched by URL, for a start while an issuer does not answer."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any


class KeyStore:
    """Key sets by issuer, with the time of their fetch. Errors of the file never stop the service."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._sets: dict[str, Any] = {}

    async def load(self) -> None:
        """Read the file. A missing or damaged file counts as empty."""
        if self._path is None:
            return
        try:
            found = json.loads(await asyncio.to_thread(self._path.read_bytes))
        except (OSError, ValueError):
            return
        self._sets = found if isinstance(found, dict) else {}

    def find(self, issuer: str) -> tuple[float, bytes] | None:
        """Returns the Unix time of the fetch and the key set."""
        try:
            found = self._sets[issuer]
            return float(found["fetched"]), str(found["keys"]).encode()
        except (LookupError, TypeError, ValueError):
            return None

    async def keep(self, issuer: str, fetched: float, keys: bytes) -> None:
        """Add a key set and replace the file."""
        if self._path is None:
            return
        self._sets[issuer] = {"fetched": fetched, "keys": keys.decode(errors="replace")}
        await asyncio.to_thread(_replace, self._path, json.dumps(self._sets))


def _replace(path: Path, text: str) -> None:
    """Replace the file atomically. Several processes may write the same file."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
