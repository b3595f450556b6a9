from collections.abc import Sequence
from pathlib import Path

import pytest

from gostream_conformance.check import check
from gostream_conformance.report import Report
from gostream_conformance.rules import ALL
from gostream_conformance.tree import presentation
from gostream_conformance.tree.sources import DirectorySource

from .breaking import MASTER, STILLS, TOP, Spoil, edit, listed, removed
from .captions import CAPTION_DEFECTS, NONE, SOME, captioned
from .defects import DEFECTS, LEGAL, Defect
from .fragments import FRAGMENT_DEFECTS
from .packets import VIDEO_PID
from .sounds import SOUND_DEFECTS, SOUND_LEGAL
from .texts import TEXT_DEFECTS, TEXT_LEGAL
from .trees import bandwidths, encode_muxed, still_bandwidth, write_iframes, write_master

ALL_DEFECTS = DEFECTS + CAPTION_DEFECTS + TEXT_DEFECTS + SOUND_DEFECTS
OVER_HTTP = {"whole.media-types", "whole.gzip", "whole.cors", "whole.no-redirects"}


def broken(report: Report) -> set[str]:
    return {outcome.rule.id for outcome in report.outcomes if outcome.findings}


async def test_valid_tree_breaks_no_rule(good_tree: Path) -> None:
    report = await check(DirectorySource(good_tree))
    assert broken(report) == set()
    assert report.passed
    assert len(report.outcomes) == len(ALL)


async def broken_in(tree: Path) -> list[str]:
    report = await check(DirectorySource(tree))
    return [f"{o.rule.id} {f.where}: {f.why}" for o in report.outcomes for f in o.findings]


async def test_muxed_audio_rendition_needs_no_playlist(tmp_path: Path) -> None:
    rung = tmp_path / "v1/180p"
    encode_muxed(rung)
    write_iframes(rung)
    peak, average = bandwidths(rung)
    (tmp_path / MASTER).write_text(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Main",DEFAULT=YES,AUTOSELECT=YES\n'
        f"#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},"
        'CODECS="avc1.64000d,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=25.000,AUDIO="a"\n'
        "v1/180p/playlist.m3u8\n"
        f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={still_bandwidth(rung)},CODECS="avc1.64000d",'
        f'RESOLUTION=320x180,URI="{STILLS}"\n'
    )

    assert await broken_in(tmp_path) == []


def of_sound_alone(tree: Path, more: str = "") -> str:
    peak, average = bandwidths(tree / "v1/audio")
    figures = f"BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}"
    return f'#EXT-X-STREAM-INF:{figures},CODECS="mp4a.40.2"{more}\nv1/audio/playlist.m3u8\n'


async def test_audio_only_variant_may_share_its_renditions_playlist(tree: Path) -> None:
    alone = of_sound_alone(tree, ',AUDIO="aac"')
    edit(MASTER, "#EXT-X-I-FRAME", f"{alone}#EXT-X-I-FRAME")(tree)

    assert await broken_in(tree) == []


@pytest.mark.parametrize(("said", "sound_alone"), [(SOME, ""), (NONE, ",CLOSED-CAPTIONS=NONE"), ("", "")])
async def test_variants_that_agree_on_captions_pass(tree: Path, said: str, sound_alone: str) -> None:
    captioned(said, said)(tree)
    alone = of_sound_alone(tree, f',AUDIO="aac"{sound_alone}')
    edit(MASTER, "#EXT-X-I-FRAME", f"{alone}#EXT-X-I-FRAME")(tree)

    assert await broken_in(tree) == []


async def test_audio_only_presentation_needs_no_i_frames(tree: Path) -> None:
    for path in (TOP, "v1/180p", "v1/storyboard.vtt"):
        removed(path)(tree)
    head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    (tree / MASTER).write_text(head + of_sound_alone(tree))

    assert await broken_in(tree) == []


async def test_peak_of_a_shared_playlist_is_computed_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(sizes: Sequence[int], *_: object, **__: object) -> float:
        calls.append(sizes)
        return 1.0

    monkeypatch.setattr(presentation, "peak_rate", counted)
    variant = '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="aac"\nv1/360p/playlist.m3u8\n'
    edit(MASTER, "#EXT-X-I-FRAME", f"{variant * 40}#EXT-X-I-FRAME")(tree)

    await check(DirectorySource(tree))

    assert len(calls) == 4


async def test_encryption_is_the_only_finding_if_encrypted(tree: Path) -> None:
    edit(f"{TOP}/playlist.m3u8", "#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF')(tree)
    (tree / TOP / "key").write_bytes(bytes(16))
    for segment in (tree / TOP).glob("*.ts"):
        segment.write_bytes(bytes(255 - byte for byte in segment.read_bytes()) + b"padding")

    assert await broken_in(tree) == [f"media.supported {TOP}/playlist.m3u8: unsupported: encrypted"]


async def test_range_of_an_unmeasured_segment_is_judged_alone(tree: Path) -> None:
    edit(STILLS, 'URI="seg2.ts"', 'URI="still.ts"')(tree)
    edit(STILLS, "seg2.ts\n#EXT-X-ENDLIST", "still.ts\n#EXT-X-ENDLIST")(tree)
    (tree / "v1/180p/still.ts").write_bytes((tree / "v1/180p/seg2.ts").read_bytes())

    assert await broken_in(tree) == []


@pytest.mark.parametrize("defect", ALL_DEFECTS, ids=lambda defect: defect.name)
async def test_planted_defect_breaks_only_its_rules(tree: Path, defect: Defect) -> None:
    defect.spoil(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == {defect.rule} | defect.also, [
        (o.rule.id, f.where, f.why) for o in report.outcomes for f in o.findings
    ]


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL.keys())
async def test_legal_variations_break_no_rule(tree: Path, change: Spoil) -> None:
    change(tree)
    write_master(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == set(), [(o.rule.id, f.where, f.why) for o in report.outcomes for f in o.findings]


@pytest.mark.parametrize("change", (TEXT_LEGAL | SOUND_LEGAL).values(), ids=(TEXT_LEGAL | SOUND_LEGAL).keys())
async def test_legal_text_and_sound_break_no_rule(tree: Path, change: Spoil) -> None:
    change(tree)

    assert await broken_in(tree) == []


async def test_other_codecs_are_reported_as_unsupported(tree: Path) -> None:
    listed({VIDEO_PID: 0x24})(tree)
    report = await check(DirectorySource(tree))
    (outcome,) = [o for o in report.outcomes if o.rule.id == "segments.readable"]
    assert {finding.why for finding in outcome.findings} == {"unsupported: stream type 0x24"}


def test_every_rule_has_a_planted_defect() -> None:
    assert {rule.id for rule in ALL} == {defect.rule for defect in ALL_DEFECTS + FRAGMENT_DEFECTS} | OVER_HTTP
    assert len({rule.id for rule in ALL}) == len(ALL)
