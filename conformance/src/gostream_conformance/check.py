"""The checker: read a tree, apply every rule.

    report = await check(DirectorySource(Path("hls/018f…")))
    if not report.passed: …

`gostream verify` shows what it says. The worker asks `check_written` before it publishes.
"""

import asyncio
from collections.abc import Mapping

from gostream_conformance.report import Report, judge
from gostream_conformance.rules import ALL
from gostream_conformance.tree.loader import Limits, Measured, load
from gostream_conformance.tree.sources import Source, WrittenSource

#: What we wrote ourselves may be long: twelve hours with a key frame every second in each rung.
_OURS = Limits(segments=1_000_000)


async def check(source: Source, *, limits: Limits | None = None) -> Report:
    """Judge the tree behind `source`. Raises UnreadableError when its master playlist cannot be read.

    Whatever else is wrong is a finding: hostile input is ordinary input here.
    """
    presentation = await load(source, limits or Limits())
    return await asyncio.to_thread(judge, presentation, ALL)


async def check_written(contents: Mapping[str, bytes], measured: Measured, *, master: str) -> Report:
    """Judge what is about to be published: segments as measured when written, everything else as its bytes.

    Paths are relative to the directory of `master`. Nothing is read.
    """
    source = WrittenSource(contents, frozenset(path for path, _ in measured), master=master)
    presentation = await load(source, _OURS, measured=measured)
    return await asyncio.to_thread(judge, presentation, ALL)
