"""Sources of a tree: a directory, a web server, or another implementation of Source."""

import asyncio
import os
import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from gostream_conformance.errors import UnreadableError

_ENCODED_DOT = re.compile("%2e", re.IGNORECASE)
ORIGIN = "https://player.example"  # sent as the origin of requests


@dataclass(frozen=True, slots=True)
class Resource:
    """A response: the body, and the HTTP status and headers (no headers for other sources)."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names


class Source(Protocol):
    """A tree of files around a master playlist. Paths are relative to the master's directory, with "/"."""

    master: str  # the path of the master playlist
    over_http: bool  # True if status and headers are meaningful

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        """Returns a resource of at most `limit` bytes; an HTTP error is a status. Raises UnreadableError."""
        ...

    async def files(self) -> frozenset[str] | None:
        """Returns all files, or None if the source cannot list them. Raises UnreadableError."""
        ...


class DirectorySource:
    """A directory on disk. Links and names cannot lead outside it."""

    over_http = False

    def __init__(self, directory: Path, *, master: str = "master.m3u8") -> None:
        self._root = directory.resolve()
        self.master = quote(master)

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        return Resource(await asyncio.to_thread(self._read, file_of(path), limit))

    async def files(self) -> frozenset[str] | None:
        return await asyncio.to_thread(self._files)

    def _read(self, path: str, limit: int) -> bytes:
        try:
            file = (self._root / path).resolve(strict=True)
            if not file.is_relative_to(self._root) or not file.is_file():
                raise UnreadableError(f"{path} is not a file of this tree")
            if file.stat().st_size > limit:
                raise UnreadableError(f"{path} is larger than {limit} bytes")
            with file.open("rb") as opened:
                return opened.read(limit)
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{path} cannot be read: {_in_words(error)}") from None

    def _files(self) -> frozenset[str]:
        try:
            return frozenset(path.relative_to(self._root).as_posix() for path in self._walk())
        except OSError as error:
            raise UnreadableError(f"{error.filename} cannot be listed: {_in_words(error)}") from None

    def _walk(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self._root, onerror=_raise):
            yield from (path for name in names if (path := Path(folder, name)).is_file())


class WrittenSource:
    """A tree in memory: the paths of its segments, and the bytes of all other files."""

    over_http = False

    def __init__(self, contents: Mapping[str, bytes], segments: frozenset[str], *, master: str) -> None:
        self._contents = contents
        self._segments = segments
        self.master = master

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        content = self._contents.get(file_of(path))
        if content is None or len(content) > limit:
            raise UnreadableError(f"{path} was never written, or is larger than {limit} bytes")
        return Resource(content)

    async def files(self) -> frozenset[str] | None:
        return self._segments | self._contents.keys()


Fetch = Callable[[str, Mapping[str, str], int], Awaitable[Resource]]


class HttpSource:
    """A web server, read by `fetch(url, headers, limit)`, which must not follow redirects.

    `fetch` raises UnreadableError if the server does not answer or the body exceeds the limit.
    """

    over_http = True

    def __init__(self, url: str, fetch: Fetch) -> None:
        path, mark, query = url.partition("?")
        base, _, name = path.rpartition("/")
        self._base = base + "/"
        self.master = name + mark + query
        self._fetch = fetch

    async def read(self, path: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Resource:
        asked = {"origin": ORIGIN, "accept-encoding": "identity", **(headers or {})}
        return await self._fetch(self._base + path, asked, limit)

    async def files(self) -> frozenset[str] | None:
        return None


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns headers by lower-case name; repeated ones are joined, as in RFC 9110 5.3."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def resolve(playlist: str, uri: str) -> str | None:
    """Returns the path of `uri` in the playlist at path `playlist`; None if it leaves the tree.

    Resolves dot segments as browsers do, also %2e, and removes the fragment.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path or unquote(parts.path).startswith("/"):
        return None
    dotted = _ENCODED_DOT.sub(".", parts.path)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(playlist.partition("?")[0]), dotted))
    plain = unquote(path)
    if "\\" in plain or ".." in plain.split("/"):
        return None
    if any(ord(letter) < 32 for letter in plain):
        return None
    return f"{path}?{parts.query}" if parts.query else path


def file_of(path: str) -> str:
    """Returns the file of a path as web servers do: decoded, without the query."""
    return unquote(path.partition("?")[0])


def _raise(error: OSError) -> None:
    raise error


def _in_words(error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return reason.lower() if reason else "invalid file name"
