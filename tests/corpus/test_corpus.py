"""Runs every file of the corpus through the real pipeline and checks result, files and memory."""

import re
from pathlib import Path

import pytest

from gostream_conformance.check import check
from gostream_conformance.rules.rule import Severity
from gostream_conformance.tree.sources import DirectorySource
from gostream_shared.domain.video import MediaKind
from gostream_worker.failures import Code

from . import containers, seen, timing, unusual
from .media import Kitchen, Recipe
from .pipeline import READY, Outcome, Pipeline, largest_child
from .table import CASES, Case, Sound, Stream

#: Limit of a child's resident bytes for any input.
MEMORY = 1 << 30
#: Of 255: other codecs and other conversions of one film differ by less. Wrong colours differ by more.
_ALIKE = 10
#: Of all pictures. Woven ones are nearly all found.
_FEW_COMBS = 0.1
#: Of full scale: a tone that one channel of several has.
_HEARD = 0.05


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
    elif isinstance(case.expected, Sound):
        _assert_sound(outcome, case.expected)
        assert await _broken_rules(outcome, tmp_path) == []
    else:
        _assert_stream(outcome, case.expected)
        assert await _broken_rules(outcome, tmp_path) == []
        _assert_seen_and_heard(outcome, case.expected, tmp_path)
        if case.expected.looks_like:
            other = await pipeline.run(kitchen(case.expected.looks_like))
            assert seen.difference(seen.first_picture(outcome), seen.first_picture(other)) < _ALIKE
    assert outcome.left_behind == []
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    # A peak over all children: in a long run an earlier child may already exceed the limit.
    assert largest_child() <= max(MEMORY, largest_before), "a child has grown too large"


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        timing.sound_begins_6s_late,
        timing.many_small_gaps,
        containers.edited_empty_start,
        timing.last_picture_damaged,
    ],
)
async def test_the_same_file_gets_the_same_answer(
    recipe: Recipe, kitchen: Kitchen, pipeline: Pipeline
) -> None:
    assert {(await pipeline.run(kitchen(recipe))).code for _ in range(20)} == {READY}


@pytest.mark.parametrize(
    ("recipe", "seconds"),
    [
        (timing.sound_pauses_20s, 22),
        pytest.param(timing.sound_pauses_120s, 122, marks=pytest.mark.slow),
        pytest.param(timing.picture_pauses_20s, 22, marks=pytest.mark.slow),
        pytest.param(timing.sound_pauses_in_a_program_stream, 22, marks=pytest.mark.slow),
        pytest.param(timing.clock_jumps_20s, 4, marks=pytest.mark.slow),
        pytest.param(timing.clock_wraps, 2, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_streamed_broadcast_keeps_its_clock(
    recipe: Recipe, seconds: float, kitchen: Kitchen, tmp_path: Path
) -> None:
    with Pipeline.open(tmp_path, streams=True) as pipeline:
        outcome = await pipeline.run(kitchen(recipe))

    _assert_stream(outcome, Stream("96x64", seconds=seconds, heard=seconds))


async def test_worker_still_encodes_after_whole_corpus(kitchen: Kitchen, pipeline: Pipeline) -> None:
    assert (await pipeline.run(kitchen(unusual.plain))).code == READY


def _assert_sound(outcome: Outcome, expected: Sound) -> None:
    assert outcome.code == READY, _why(outcome)
    publication = outcome.publication
    assert publication is not None
    assert publication.media_kind is MediaKind.AUDIO
    assert " ".join(rung.name for rung in publication.renditions) == expected.rungs
    assert publication.duration.total_seconds() == pytest.approx(expected.seconds, rel=0.02, abs=0.1)
    assert (publication.poster is not None) == expected.poster
    assert "RESOLUTION" not in outcome.published["master.m3u8"].decode()


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


def _assert_seen_and_heard(outcome: Outcome, expected: Stream, folder: Path) -> None:
    assert expected.says in outcome.published["master.m3u8"].decode()
    if expected.brightness:
        picture = seen.first_picture(outcome)
        assert sum(picture) // len(picture) in expected.brightness
    if expected.is_whole:
        assert seen.combed_share(outcome, folder) < _FEW_COMBS
    if expected.is_central:
        left, right = seen.loudness(outcome)
        assert left == pytest.approx(right, rel=0.1)
        assert left > _HEARD


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
