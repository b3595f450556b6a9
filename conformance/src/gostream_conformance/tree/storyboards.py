"""Reads storyboards: finds them by their path, and reads cues and pictures as players do.

Playlists do not reference them. GoStream publishes `storyboard.vtt` next to the folders of the variants.
"""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

from gostream_conformance.errors import CuesError, PictureError
from gostream_conformance.formats.jpeg import jpeg_size
from gostream_conformance.formats.webvtt import Cue, parse_cues
from gostream_conformance.tree.presentation import Presentation, Storyboard

NAME = "storyboard.vtt"
#: Resolves (playlist, URI, place) to a path of the tree; None after recording that it leaves the tree.
Resolve = Callable[[str, str, str], str | None]


class Get(Protocol):
    """Reads a path that is referenced at `where`. Returns its bytes, or None after recording the reason.

    A missing `optional` resource is not recorded.
    """

    def __call__(
        self, path: str, where: str, limit: int, *, optional: bool = False
    ) -> Awaitable[bytes | None]: ...


def storyboard_path(variant: str) -> str:
    """Returns the path of a variant's storyboard, by the path of its playlist."""
    folder = posixpath.dirname(posixpath.dirname(variant.partition("?")[0]))
    return posixpath.join(folder, NAME)


class StoryboardLoader:
    """Reads the storyboards of a presentation after its playlists; reads each picture once."""

    def __init__(self, found: Presentation, *, get: Get, resolve: Resolve, max_pictures: int) -> None:
        self._found = found
        self._get = get
        self._resolve = resolve
        self._max_pictures = max_pictures
        self._pictures = 0

    async def load(self, *, cues_bytes: int, picture_bytes: int) -> None:
        """Read the existing storyboards; a video may have none. Larger files count as unreadable."""
        for path in self._paths():
            body = await self._get(path, path, cues_bytes, optional=True)
            if body is not None:
                board = await self._parse(path, body)
                self._found.storyboards.append(board)
                for uri, line in _first_lines(board.cues):
                    await self._picture(board, uri, f"{path}:{line}", picture_bytes)

    def _paths(self) -> Iterator[str]:
        files = self._found.files
        paths = dict.fromkeys(storyboard_path(track.path) for _, track in self._found.variant_tracks)
        return (path for path in paths if files is None or path in files)

    async def _parse(self, path: str, body: bytes) -> Storyboard:
        try:
            return Storyboard(path, await asyncio.to_thread(parse_cues, body))
        except CuesError as error:
            return Storyboard(path, problem=error.with_traceback(None))

    async def _picture(self, board: Storyboard, uri: str, where: str, limit: int) -> None:
        path = self._resolve(board.path, uri, where)
        if path is None:
            return
        self._pictures += 1
        if self._pictures > self._max_pictures:
            self._found.unreadable.append((where, f"more than {self._max_pictures} pictures"))
            return
        data = await self._get(path, where, limit)
        if data is not None:
            _note_size(board, uri, path, data)


def _first_lines(cues: Iterable[Cue]) -> list[tuple[str, int]]:
    """Returns every URI with its first line."""
    lines: dict[str, int] = {}
    for cue in cues:
        lines.setdefault(cue.uri, cue.line)
    return list(lines.items())


def _note_size(board: Storyboard, uri: str, path: str, data: bytes) -> None:
    try:
        board.sizes[uri] = jpeg_size(data)
    except PictureError as error:
        board.bad_pictures.append((path, error.with_traceback(None)))
