"""Where a tree is read from: a directory, a web server, or whatever implements Source."""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from gostream_shared.conformance.errors import UnreadableError


@dataclass(frozen=True, slots=True)
class Resource:
    """An answer: the bytes, and how HTTP dressed them (empty when no HTTP was spoken)."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names


class Source(Protocol):
    """A tree of files around a master playlist. Paths are relative to the master's directory, with "/"."""

    master: str  # the master's own path
    over_http: bool  # whether status and headers mean anything

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        """The resource, of at most `limit` bytes. Raises UnreadableError; an HTTP error is a status."""
        ...

    async def files(self) -> frozenset[str] | None:
        """Every path there is, or None when this cannot be known."""
        ...


class DirectorySource:
    """A directory on disk. Never reads outside it, whatever links or names it holds."""

    over_http = False

    def __init__(self, directory: Path, *, master: str = "master.m3u8") -> None:
        self._root = directory.resolve()
        self.master = master

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        return Resource(await asyncio.to_thread(self._read, unquote(path), limit))

    async def files(self) -> frozenset[str] | None:
        return await asyncio.to_thread(self._files)

    def _read(self, path: str, limit: int) -> bytes:
        try:
            file = (self._root / path).resolve(strict=True)
            if not file.is_relative_to(self._root) or not file.is_file():
                raise UnreadableError(f"{path} is no file of this tree")
            if file.stat().st_size > limit:
                raise UnreadableError(f"{path} is larger than {limit} bytes")
            with file.open("rb") as opened:
                return opened.read(limit)
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{path} cannot be read: {type(error).__name__}") from None

    def _files(self) -> frozenset[str]:
        found = (path for path in self._root.rglob("*") if path.is_file())
        return frozenset(path.relative_to(self._root).as_posix() for path in found)


class WrittenSource:
    """A tree that is known without reading it: the paths of its segments, and the bytes of all else."""

    over_http = False

    def __init__(self, contents: Mapping[str, bytes], segments: frozenset[str], *, master: str) -> None:
        self._contents = contents
        self._segments = segments
        self.master = master

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        content = self._contents.get(path)
        if content is None or len(content) > limit:
            raise UnreadableError(f"{path} was never written, or is larger than {limit} bytes")
        return Resource(content)

    async def files(self) -> frozenset[str] | None:
        return self._segments | self._contents.keys()


Fetch = Callable[[str, Mapping[str, str], int], Awaitable[Resource]]


class HttpSource:
    """A web server, through `fetch(url, headers, limit)`, which must not follow redirects.

    `fetch` raises UnreadableError when there is no answer, or one with a longer body than the limit.
    """

    over_http = True

    def __init__(self, url: str, fetch: Fetch) -> None:
        path, mark, query = url.partition("?")
        base, _, name = path.rpartition("/")
        self._base = base + "/"
        self.master = name + mark + query
        self._fetch = fetch

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        return await self._fetch(self._base + path, headers or {}, limit)

    async def files(self) -> frozenset[str] | None:
        return None


def resolve(playlist: str, uri: str) -> str | None:
    """The path of `uri` as written in the playlist at path `playlist`; None when it leaves the tree."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    plain = unquote(parts.path)
    if parts.scheme or parts.netloc or parts.fragment or not plain or plain.startswith("/"):
        return None
    if "\\" in plain or ".." in plain.split("/") or any(ord(letter) < 32 for letter in plain):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(playlist.partition("?")[0]), parts.path))
    return f"{path}?{parts.query}" if parts.query else path
