"""Where the keys of an issuer come from: a local file, or a URL."""

import asyncio
from pathlib import Path
from typing import Protocol

import aiohttp

from gostream_api.auth.jwk_set import MAX_BYTES, KeySetError

#: Seconds for one fetch of a URL.
FETCH_TIMEOUT = 5.0


class KeySource(Protocol):
    """A source of key sets. `pause` is the least time in seconds between two fetches for unknown keys."""

    pause: float

    async def fetch(self) -> bytes | None:
        """Returns the key set, or None if it is unchanged. Raises OSError, ClientError and KeySetError."""
        ...


class FileSource:
    """A file, which is read again when it changes."""

    pause = 1.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    async def fetch(self) -> bytes | None:
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes | None:
        with self._path.open("rb") as file:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._seen:
                return None
            text = file.read(MAX_BYTES + 1)
        self._seen = version
        return text


class UrlSource:
    """A URL. Redirects are errors, and so are replies above the size limit."""

    pause = 30.0

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def fetch(self) -> bytes | None:
        async with (
            asyncio.timeout(FETCH_TIMEOUT),
            self._session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise KeySetError(f"the issuer answers HTTP {response.status}")
            text = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                text += chunk
                if len(text) > MAX_BYTES:
                    raise KeySetError(f"the key set is larger than {MAX_BYTES} bytes")
            return bytes(text)
