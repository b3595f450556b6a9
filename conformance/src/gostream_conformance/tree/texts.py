"""Reads the segments of subtitles. Files of other formats than WebVTT are read, but not parsed."""

import asyncio
from collections.abc import Awaitable, Callable

from gostream_conformance.errors import CuesError
from gostream_conformance.formats.subtitles import TEXT_FILES, parse_text
from gostream_conformance.tree.presentation import Kind, Piece, Track
from gostream_conformance.tree.sources import file_of

#: Bytes of a segment.
TEXT_BYTES = 8 << 20
#: Reads a path that is referenced at a place, within a limit; None after recording the reason.
Get = Callable[[str, str, int], Awaitable[bytes | None]]


def is_text(uses: list[tuple[Track, Piece]]) -> bool:
    """Returns whether only playlists of subtitles use a file."""
    return all(track.kind is Kind.TEXT for track, _ in uses)


async def load_text(path: str, pieces: list[Piece], get: Get) -> None:
    """Reads one file, and keeps its cues in the pieces that use it."""
    body = await get(path, pieces[0].where, TEXT_BYTES)
    if body is None:
        return
    for piece in pieces:
        piece.size = len(body)
        if file_of(path).endswith(TEXT_FILES):
            try:
                piece.text = await asyncio.to_thread(parse_text, body)
            except CuesError as error:
                piece.text_problem = error.with_traceback(None)
