"""The checker: read a tree, apply every rule.

    report = await check(DirectorySource(Path("hls/018f…")))
    if not report.passed: …

The worker calls it before it publishes; `gostream verify` shows what it says.
"""

import asyncio

from gostream_shared.conformance.load import Limits, load
from gostream_shared.conformance.report import Report, judge
from gostream_shared.conformance.rules import ALL
from gostream_shared.conformance.sources import Source


async def check(source: Source, *, limits: Limits | None = None) -> Report:
    """Judge the tree behind `source`. Raises UnreadableError when its master playlist cannot be read.

    Whatever else is wrong is a finding: hostile input is ordinary input here.
    """
    presentation = await load(source, limits or Limits())
    return await asyncio.to_thread(judge, presentation, ALL)
