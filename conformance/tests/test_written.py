"""Checks of a tree by the measurements of its writer, without reading it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gostream_conformance.check import check, check_written
from gostream_conformance.errors import MalformedError
from gostream_conformance.playlist.model import ByteRange
from gostream_conformance.report import Report
from gostream_conformance.tree.loader import Measured
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.segment import measure_iframes, measure_segment
from gostream_conformance.tree.sources import DirectorySource
from tests.support.quick import first_quick

from .breaking import MASTER, TOP, edit
from .defects import DEFECTS, Defect
from .test_rules import broken

Parts = Iterator[tuple[tuple[str, ByteRange | None], SegmentMeasure]]


def measured(tree: Path) -> Measured:
    return {part: measure for path in tree.rglob("*.ts") for part, measure in parts(tree, path)}


def parts(tree: Path, path: Path) -> Parts:
    name, data = path.relative_to(tree).as_posix(), path.read_bytes()
    whole = measure_segment(data)
    yield (name, None), whole
    for key, iframe in zip(whole.key_frames, measure_iframes(data, whole), strict=True):
        yield (name, ByteRange(key.offset, key.size)), iframe


def contents(tree: Path) -> dict[str, bytes]:
    files = [path for path in tree.rglob("*.*") if path.suffix != ".ts"]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in files}


async def judged(tree: Path) -> Report:
    return await check_written(contents(tree), measured(tree), master=MASTER)


async def test_valid_tree_breaks_no_rule(good_tree: Path) -> None:
    assert broken(await judged(good_tree)) == set()


@pytest.mark.parametrize("defect", first_quick(DEFECTS, 15), ids=lambda defect: defect.name)
async def test_written_check_matches_the_read_check(tree: Path, defect: Defect) -> None:
    defect.spoil(tree)
    found = broken(await check(DirectorySource(tree)))

    try:
        assert broken(await judged(tree)) == found
    except MalformedError:  # the writer cannot measure such a segment, so none is published
        assert found & {"segments.whole-packets", "segments.readable", "fragments.map"}


async def test_unmeasured_segment_is_reported_missing(tree: Path) -> None:
    edit(f"{TOP}/playlist.m3u8", "seg1.ts", "seg7.ts")(tree)

    report = await judged(tree)

    assert "master.uris-answer" in broken(report)


async def test_i_frame_without_tables_is_refused(tree: Path) -> None:
    edit("v1/180p/iframes.m3u8", '@0"', '@188"')(tree)

    assert "media.iframe-ranges" in broken(await judged(tree))


async def test_i_frame_beyond_its_segment_is_reported(tree: Path) -> None:
    edit("v1/180p/iframes.m3u8", "BYTERANGE:", "BYTERANGE:999999")(tree)

    assert "master.uris-answer" in broken(await judged(tree))
