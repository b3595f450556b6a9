import shutil
from pathlib import Path

import pytest

from gostream_conformance.check import check
from gostream_conformance.errors import ConformanceError, FragmentError, MissingMapError
from gostream_conformance.formats.mp4 import boxes as box_reader
from gostream_conformance.formats.mp4.fragments import MAX_SAMPLES, parse_fragments
from gostream_conformance.tree.fragments import measure_fragments
from gostream_conformance.tree.sources import DirectorySource

from .breaking import LOW, SOUND, TOP, Spoil
from .defects import Defect
from .fragments import FRAGMENT_DEFECTS, INIT, LEGAL_FRAGMENTS, box_at, build_fragments, renamed


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fragments")
    build_fragments(directory)
    return directory


@pytest.fixture
def tree(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "hls")


async def found_in(tree: Path) -> list[str]:
    report = await check(DirectorySource(tree))
    return [f"{o.rule.id} {f.where}: {f.why}" for o in report.outcomes for f in o.findings]


def rules_of(findings: list[str]) -> set[str]:
    return {finding.partition(" ")[0] for finding in findings}


async def test_tree_of_fragmented_mp4_breaks_no_rule(good: Path) -> None:
    assert await found_in(good) == []


@pytest.mark.parametrize("defect", FRAGMENT_DEFECTS, ids=lambda defect: defect.name)
async def test_planted_defect_breaks_only_its_rules(tree: Path, defect: Defect) -> None:
    defect.spoil(tree)
    findings = await found_in(tree)
    assert rules_of(findings) == {defect.rule} | defect.also, findings


@pytest.mark.parametrize("change", LEGAL_FRAGMENTS.values(), ids=LEGAL_FRAGMENTS.keys())
async def test_legal_variations_break_no_rule(tree: Path, change: Spoil) -> None:
    change(tree)
    assert await found_in(tree) == []


def segment_of(tree: Path, folder: str = TOP, number: int = 0) -> tuple[bytearray, int]:
    """The initialization section and a segment after it, and the place where they meet."""
    head = (tree / folder / "init.mp4").read_bytes()
    return bytearray(head + (tree / folder / f"seg{number}.m4s").read_bytes()), len(head)


def test_measures_are_those_of_the_encoder(good: Path) -> None:
    data, seam = segment_of(good)
    measure = measure_fragments(bytes(data), seam=seam)

    assert measure.video
    assert (measure.video.frames, measure.video.frame_ticks, measure.video.missing) == (100, 3600, 0)
    assert [key.pts for key in measure.key_frames] == [0, 180_000]
    assert measure.video.starts_with_key
    assert [sps.codec for sps in measure.video.parameter_sets] == ["avc1.64001e"]
    assert measure.duration == 4


def test_sound_has_its_configuration_and_samples(good: Path) -> None:
    data, seam = segment_of(good, SOUND)
    measure = measure_fragments(bytes(data), seam=seam)

    assert measure.audio
    assert [(config.codec, config.sample_rate) for config in measure.audio.configs] == [("mp4a.40.2", 48000)]
    assert (measure.audio.frames, measure.audio.stray) == (188, 0)


async def test_other_sample_entry_is_unsupported(tree: Path) -> None:
    avc1 = box_at((tree / INIT).read_bytes(), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    data = bytearray((tree / INIT).read_bytes())
    data[avc1.body + 12 : avc1.body + 16] = b"hvc1"
    (tree / INIT).write_bytes(data)

    findings = await found_in(tree)
    assert f"segments.readable {TOP}/seg0.m4s: unsupported: the codec of a track" in findings


async def test_map_of_another_rung_is_found(tree: Path) -> None:
    shutil.copy(tree / LOW / "init.mp4", tree / INIT)
    assert {"master.codecs", "master.resolution"} <= rules_of(await found_in(tree))


@pytest.mark.parametrize("size", [0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [b"moof", b"traf", b"trun", b"mdat"])
def test_box_of_a_wrong_size_is_refused(good: Path, kind: bytes, size: int) -> None:
    data, seam = segment_of(good)
    at = data.index(kind, seam) - 4
    data[at : at + 4] = size.to_bytes(4)
    if (kind, size) == (b"mdat", 0):
        assert measure_fragments(bytes(data), seam=seam).video  # up to the end of the segment
        return
    with pytest.raises(ConformanceError):
        measure_fragments(bytes(data), seam=seam)


def test_huge_size_of_64_bits_is_refused(good: Path) -> None:
    data, seam = segment_of(good)
    at = data.index(b"mdat") - 4
    data[at : at + 8] = b"\x00\x00\x00\x01mdat"
    data[at + 8 : at + 16] = b"\xff" * 8
    with pytest.raises(FragmentError, match="18446744073709551615 bytes"):
        measure_fragments(bytes(data), seam=seam)


@pytest.mark.parametrize("cut", [False, True])
def test_count_beyond_the_samples_is_refused(good: Path, cut: bool) -> None:
    data, seam = segment_of(good)
    at = box_at(data[seam:], b"moof", b"traf", b"trun").body + seam + 4
    data[at : at + 4] = (MAX_SAMPLES + 1).to_bytes(4)
    with pytest.raises(FragmentError, match="samples"):
        parse_fragments(bytes(data), seam=seam, cut=cut)


def test_count_without_fields_ends_in_time(good: Path) -> None:
    data, seam = segment_of(good)
    trun = box_at(data[seam:], b"moof", b"traf", b"trun").body + seam
    data[trun + 1 : trun + 8] = b"\x00\x00\x00" + (2**32 - 1).to_bytes(4)
    with pytest.raises(FragmentError, match="samples"):
        parse_fragments(bytes(data), seam=seam)


def test_too_many_boxes_are_refused(monkeypatch: pytest.MonkeyPatch, good: Path) -> None:
    data, seam = segment_of(good)
    monkeypatch.setattr(box_reader, "MAX_BOXES", 100)
    with pytest.raises(FragmentError, match="more than 100 boxes"):
        parse_fragments(bytes(data) + b"\x00\x00\x00\x08free" * 101, seam=seam)


def test_deep_nesting_is_not_followed(good: Path) -> None:
    data, seam = segment_of(good)
    nested = b""
    for _ in range(2_000):
        nested = (len(nested) + 8).to_bytes(4) + b"moof" + nested
    with pytest.raises(FragmentError):
        parse_fragments(bytes(data[:seam]) + nested, seam=seam)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_truncated_segment_is_refused(good: Path, share: float) -> None:
    data, seam = segment_of(good)
    with pytest.raises(ConformanceError):
        measure_fragments(bytes(data[: seam + int((len(data) - seam) * share)]), seam=seam)


def test_overlapping_samples_are_refused(good: Path) -> None:
    data, seam = segment_of(good)
    trun = box_at(data[seam:], b"moof", b"traf", b"trun")
    again = bytes(data[trun.start + seam : trun.end + seam])
    for kind in (b"traf", b"moof"):
        at = data.index(kind, seam) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) + len(again)).to_bytes(4)
    data[trun.end + seam : trun.end + seam] = again
    with pytest.raises(FragmentError, match="outside its segment"):
        parse_fragments(bytes(data), seam=seam)


def test_segment_without_its_map_says_so(good: Path) -> None:
    data, seam = segment_of(good)
    with pytest.raises(MissingMapError):
        measure_fragments(bytes(data[seam:]), seam=0)


async def test_unknown_boxes_are_skipped(tree: Path) -> None:
    renamed(f"{TOP}/seg0.m4s", (b"styp",), b"uuid")(tree)
    assert await found_in(tree) == []
