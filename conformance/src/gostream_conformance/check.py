"""The checker: reads a tree and applies every rule.

    report = await check(DirectorySource(Path("hls/018f…")))
    if not report.passed: …

`gostream verify` prints the report. The worker calls `check_written` before it publishes.
"""

import asyncio
from collections.abc import Mapping

from gostream_conformance.report import Report, judge
from gostream_conformance.rules import ALL
from gostream_conformance.tree.loader import Limits, Measured, load
from gostream_conformance.tree.sources import Source, WrittenSource

#: Limits for GoStream's own trees: twelve hours with a key frame every second in each rung.
_OURS = Limits(segments=1_000_000)

#: The rules of `check_texts`.
_OF_TEXTS = ("renditions.", "text.", "media.")
_OF_MASTER = frozenset({"master.parses", "master.groups", "master.captions", "master.audio-groups"})


async def check(source: Source, *, limits: Limits | None = None) -> Report:
    """Check the tree in `source`. Raises UnreadableError if its master playlist cannot be read.

    All other errors are findings, also for hostile input.
    """
    presentation = await load(source, limits or Limits())
    return await asyncio.to_thread(judge, presentation, ALL)


async def check_written(contents: Mapping[str, bytes], measured: Measured, *, master: str) -> Report:
    """Check a tree before publication, by the measures of its segments and the bytes of all other files.

    Paths are relative to the directory of `master`. Reads no file.
    """
    source = WrittenSource(contents, frozenset(path for path, _ in measured), master=master)
    presentation = await load(source, _OURS, measured=measured)
    return await asyncio.to_thread(judge, presentation, ALL)


async def check_texts(contents: Mapping[str, bytes], measured: Measured, *, master: str) -> Report:
    """Check what subtitles added to a published tree change: its renditions and the given playlists.

    `contents` may lack files of the tree that stay. `measured` needs the first segment of a variant.
    """
    source = WrittenSource(contents, frozenset(path for path, _ in measured), master=master)
    presentation = await load(source, _OURS, measured=measured)
    rules = [rule for rule in ALL if rule.id.startswith(_OF_TEXTS) or rule.id in _OF_MASTER]
    return await asyncio.to_thread(judge, presentation, rules)
