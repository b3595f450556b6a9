"""Runs every file of the corpus through the real pipeline and checks result, files and memory."""

import re
from pathlib import Path

import pytest

from gostream_conformance.check import check
from gostream_conformance.rules.rule import Severity
from gostream_conformance.tree.sources import DirectorySource
from gostream_worker.failures import Code

from . import timing, unusual
from .media import Kitchen, Recipe
from .pipeline import READY, Outcome, Pipeline, largest_child
from .table import CASES, Case, Stream

#: Limit of a child's resident bytes for any input.
MEMORY = 1 << 30


def _cases() -> list[object]:
    return [pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize("case", _cases())
async def test_every_file_gets_expected_result_within_limits(
    case: Case, kitchen: Kitchen, pipeline: Pipeline, tmp_path: Path
) -> None:
    source = kitchen(case.recipe)
    before, largest_before = source.stat(), largest_child()

    outcome = await pipeline.run(source)

    if isinstance(case.expected, Code):
        assert (outcome.code, outcome.is_visible) == (case.expected, False), _why(outcome)
    else:
        _assert_stream(outcome, case.expected)
        assert await _broken_rules(outcome, tmp_path) == []
    assert outcome.left_behind == []
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    # A peak over all children: in a long run an earlier child may already exceed the limit.
    assert largest_child() <= max(MEMORY, largest_before), "a child has grown too large"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [timing.sound_begins_6s_late, timing.last_picture_damaged])
async def test_the_same_file_gets_the_same_answer(
    recipe: Recipe, kitchen: Kitchen, pipeline: Pipeline
) -> None:
    assert {(await pipeline.run(kitchen(recipe))).code for _ in range(20)} == {READY}


async def test_worker_still_encodes_after_whole_corpus(kitchen: Kitchen, pipeline: Pipeline) -> None:
    assert (await pipeline.run(kitchen(unusual.plain))).code == READY


def _assert_stream(outcome: Outcome, expected: Stream) -> None:
    assert outcome.code == READY, _why(outcome)
    publication = outcome.publication
    assert publication is not None
    top = publication.renditions[0]
    assert f"{top.width}x{top.height}" == expected.size
    assert all(rung.width % 2 == rung.height % 2 == 0 for rung in publication.renditions)
    assert publication.duration.total_seconds() == pytest.approx(expected.seconds, rel=0.02, abs=0.1)
    master = outcome.published["master.m3u8"].decode()
    assert f"FRAME-RATE={expected.fps:.3f}" in master
    assert ("TYPE=AUDIO" in master) == expected.sound
    if expected.heard is not None:
        [playlist] = [text.decode() for name, text in outcome.published.items() if "audio/playlist" in name]
        heard = sum(map(float, re.findall(r"#EXTINF:([\d.]+)", playlist)))
        assert heard == pytest.approx(expected.heard, rel=0.02, abs=0.1)


async def _broken_rules(outcome: Outcome, folder: Path) -> list[str]:
    """Conformance rules that the published tree breaks."""
    for name, data in outcome.published.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    broken = (await check(DirectorySource(folder))).broken(Severity.MUST)
    return [f"{one.rule.id} {finding.where}: {finding.why}" for one in broken for finding in one.findings]


def _why(outcome: Outcome) -> str:
    return f"{outcome.code}: {outcome.detail}\n{outcome.log}"
