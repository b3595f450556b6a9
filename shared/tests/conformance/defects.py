"""One planted defect, at least, for every rule that can be seen in a directory."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gostream_shared.conformance.ts import PACKET

from .trees import encode_audio, encode_video, write_iframes, write_master

Spoil = Callable[[Path], None]
MASTER, TOP, LOW, SOUND = "master.m3u8", "v1/360p", "v1/180p", "v1/audio"
STILLS = "v1/180p/iframes.m3u8"
CUES, SHEET = "v1/storyboard.vtt", "v1/storyboard.jpg"
SUBTITLES = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",URI="{}"'


@dataclass(frozen=True)
class Defect:
    """`spoil` breaks `rule`, and the rules in `also` with it; no other."""

    name: str
    rule: str
    spoil: Spoil
    also: frozenset[str] = frozenset()


def edit(path: str, old: str, new: str, *, count: int = 1) -> Spoil:
    def spoil(tree: Path) -> None:
        file = tree / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, count))

    return spoil


def everywhere(*names: str, old: str, new: str) -> Spoil:
    def spoil(tree: Path) -> None:
        for name in names:
            edit(name, old, new, count=-1)(tree)

    return spoil


def bytes_of(path: str, change: Callable[[bytearray], bytes | bytearray]) -> Spoil:
    def spoil(tree: Path) -> None:
        file = tree / path
        file.write_bytes(change(bytearray(file.read_bytes())))

    return spoil


def reencoded(rung: str, **options: Any) -> Spoil:
    """Encode one rung otherwise, with a master and I-frame list that fit it."""

    def spoil(tree: Path) -> None:
        shutil.rmtree(tree / "v1" / rung)
        encode_video(tree / "v1" / rung, rung, **options)
        write_iframes(tree / "v1/180p")
        write_master(tree)

    return spoil


def new_audio(**options: Any) -> Spoil:
    def spoil(tree: Path) -> None:
        shutil.rmtree(tree / SOUND)
        encode_audio(tree / SOUND, **options)
        write_master(tree)

    return spoil


def before_sound(line: str) -> Spoil:
    """A line more in the master."""
    return edit(MASTER, "#EXT-X-MEDIA", f"{line}\n#EXT-X-MEDIA")


def drop_line(path: str, starting: str) -> Spoil:
    def spoil(tree: Path) -> None:
        lines = (tree / path).read_text().splitlines()
        kept = [line for line in lines if not line.startswith(starting)]
        assert len(kept) < len(lines)
        (tree / path).write_text("\n".join([*kept, ""]))

    return spoil


def one_variant(tree: Path) -> None:
    write_master(tree, rungs=("180p",))
    edit(MASTER, "320x180", "1280x720")(tree)
    shutil.rmtree(tree / TOP)


def swapped_variants(tree: Path) -> None:
    write_master(tree, rungs=("180p", "360p"))


def without_boundary(tree: Path) -> None:
    """The last two segments of a rung joined into one."""
    rung = tree / TOP
    (rung / "seg1.ts").write_bytes((rung / "seg1.ts").read_bytes() + (rung / "seg2.ts").read_bytes())
    (rung / "seg2.ts").unlink()
    edit(
        f"{TOP}/playlist.m3u8",
        "#EXTINF:6.000000,\nseg1.ts\n#EXTINF:2.000000,\nseg2.ts",
        "#EXTINF:8.000000,\nseg1.ts",
    )(tree)
    edit(f"{TOP}/playlist.m3u8", "TARGETDURATION:6", "TARGETDURATION:8")(tree)


def level_61(tree: Path) -> None:
    for segment in (tree / LOW).glob("*.ts"):
        data = segment.read_bytes()
        assert b"\x67\x64\x00\x0d" in data
        segment.write_bytes(data.replace(b"\x67\x64\x00\x0d", b"\x67\x64\x00\x3d"))


def adts_profile(tree: Path) -> None:
    """The first frame of the sound says AAC Main instead of LC."""
    file = tree / SOUND / "seg0.ts"
    data = bytearray(file.read_bytes())
    at = data.find(b"\xff\xf1\x4c")
    assert at > 0
    data[at + 2] &= 0x3F
    file.write_bytes(data)


def without_packet(index: int) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        del data[index * PACKET : (index + 1) * PACKET]
        return data

    return change


def tables_last(data: bytearray) -> bytes:
    """PAT and PMT (the second and third packet) moved to the end."""
    return bytes(data[:PACKET] + data[3 * PACKET :] + data[PACKET : 3 * PACKET])


def moved_range(*, begin: int = 0, end: int = 0) -> Spoil:
    """The second range begins and ends that many bytes later; it is the first with pictures before it."""

    def spoil(tree: Path) -> None:
        text = (tree / STILLS).read_text()
        size, offset = map(int, re.findall(r"EXT-X-BYTERANGE:(\d+)@(\d+)", text)[1])
        edit(STILLS, f"{size}@{offset}", f"{size + end - begin}@{offset + begin}")(tree)

    return spoil


def one_still_for_all(tree: Path) -> None:
    """All entries of a segment are its first key frame."""
    text = (tree / STILLS).read_text()
    first, *others = re.findall(r"\d+@\d+(?=\nseg0)", text)
    for other in others:
        edit(STILLS, other, first)(tree)


def fewer_stills(tree: Path) -> None:
    """Only the first key frame of each segment, each shown as long as before."""
    text = (tree / STILLS).read_text()
    write(tree / STILLS, re.sub(r"#EXTINF.*\n#EXT-X-BYTERANGE:\d+@(?!564\n).*\nseg.*\n", "", text))


def stills_backwards(tree: Path) -> None:
    head, *segments = (tree / STILLS).read_text().removesuffix("#EXT-X-ENDLIST\n").split("#EXT-X-MAP")
    backwards = "".join(f"#EXT-X-MAP{segment}" for segment in reversed(segments))
    write(tree / STILLS, f"{head}{backwards}#EXT-X-ENDLIST\n")


def without_still(segment: str) -> Spoil:
    """That segment, of one key frame or several, has lost its first."""

    def spoil(tree: Path) -> None:
        text = (tree / STILLS).read_text()
        write(tree / STILLS, re.sub(rf"#EXTINF.*\n.*\n{segment}\n", "", text, count=1))

    return spoil


def one_variant_twice(tree: Path) -> None:
    write_master(tree, rungs=("360p", "360p"))
    edit(MASTER, "640x360", "1280x720", count=2)(tree)
    (tree / LOW / "playlist.m3u8").unlink()


def dependent(tree: Path) -> None:
    for path in (MASTER, f"{TOP}/playlist.m3u8", f"{LOW}/playlist.m3u8"):
        drop_line(path, "#EXT-X-INDEPENDENT-SEGMENTS")(tree)


def both_reencoded(**options: object) -> Spoil:
    def spoil(tree: Path) -> None:
        reencoded("360p", **options)(tree)
        reencoded("180p", **options)(tree)

    return spoil


def removed(path: str) -> Spoil:
    def spoil(tree: Path) -> None:
        target = tree / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return spoil


def sound_for_pictures(tree: Path) -> None:
    shutil.copy(tree / SOUND / "seg2.ts", tree / TOP / "seg2.ts")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def stray_segment(tree: Path) -> None:
    shutil.copy(tree / TOP / "seg2.ts", tree / TOP / "seg9.ts")


def swapped_names(tree: Path) -> None:
    edit(
        f"{TOP}/playlist.m3u8", "seg0.ts\n#EXTINF:6.000000,\nseg1.ts", "seg1.ts\n#EXTINF:6.000000,\nseg0.ts"
    )(tree)


def padded(tree: Path) -> None:
    """One segment twenty times its size, in null packets."""
    file = tree / TOP / "seg1.ts"
    null = b"\x47\x1f\xff\x10" + b"\xff" * 184
    file.write_bytes(file.read_bytes() + null * (19 * file.stat().st_size // PACKET))
    write_master(tree)


DEFECTS = [
    Defect(
        "media tag in the master",
        "master.parses",
        edit(MASTER, "#EXT-X-MEDIA", "#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA"),
    ),
    Defect("another profile in CODECS", "master.codecs", edit(MASTER, "avc1.64001e", "avc1.4d001e")),
    Defect("sound not in CODECS", "master.codecs", edit(MASTER, ",mp4a.40.2", "")),
    Defect("RESOLUTION before cropping", "master.resolution", edit(MASTER, "640x360", "640x368")),
    Defect("no RESOLUTION", "master.resolution", edit(MASTER, "RESOLUTION=640x360,", "")),
    Defect(
        "FRAME-RATE of another film",
        "master.frame-rate",
        edit(MASTER, "FRAME-RATE=25.000", "FRAME-RATE=29.970"),
    ),
    Defect("FRAME-RATE a thousandth off", "master.frame-rate", edit(MASTER, "25.000", "25.025")),
    Defect("no FRAME-RATE", "master.frame-rate", edit(MASTER, ",FRAME-RATE=25.000", "")),
    Defect(
        "no AVERAGE-BANDWIDTH", "master.average-bandwidth", edit(MASTER, "AVERAGE-BANDWIDTH=", "X-AVERAGE=")
    ),
    Defect(
        "AVERAGE-BANDWIDTH too high",
        "master.average-bandwidth",
        edit(MASTER, "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=1"),
    ),
    Defect(
        "BANDWIDTH is a wish",
        "master.bandwidth",
        edit(MASTER, "STREAM-INF:BANDWIDTH=", "STREAM-INF:BANDWIDTH=1"),
    ),
    Defect(
        "BANDWIDTH of an I-frame list is a wish",
        "master.bandwidth",
        edit(MASTER, "I-FRAME-STREAM-INF:BANDWIDTH=", "I-FRAME-STREAM-INF:BANDWIDTH=1"),
    ),
    Defect(
        "one segment twenty times its size",
        "master.peak-to-average",
        padded,
        frozenset({"master.first-variant"}),
    ),
    Defect("only one variant", "master.several-variants", one_variant, frozenset({"master.resolution"})),
    Defect(
        "one variant twice",
        "master.several-variants",
        one_variant_twice,
        frozenset({"master.resolution"}),
    ),
    Defect("one rung is 4:3", "master.one-aspect", reencoded("180p", options=("-vf", "setsar=4/3"))),
    Defect("smallest variant first", "master.first-variant", swapped_variants),
    Defect("independence not promised", "master.independent-segments", dependent),
    Defect(
        "a group that is not there",
        "master.audio-groups",
        edit(MASTER, 'AUDIO="aac"', 'AUDIO="ac3"', count=2),
        frozenset({"master.codecs", "master.bandwidth", "master.average-bandwidth"}),
    ),
    Defect("no default sound", "master.audio-groups", edit(MASTER, "DEFAULT=YES", "DEFAULT=NO")),
    Defect(
        "subtitles that are not there",
        "master.groups",
        edit(MASTER, 'AUDIO="aac"', 'AUDIO="aac",SUBTITLES="none"'),
    ),
    Defect(
        "two renditions of one name",
        "master.groups",
        edit(
            MASTER,
            "#EXT-X-STREAM-INF",
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Main",URI="{SOUND}/playlist.m3u8"\n#EXT-X-STREAM-INF',
        ),
    ),
    Defect(
        "no I-frame playlist",
        "master.iframes",
        drop_line(MASTER, "#EXT-X-I-FRAME"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect(
        "a segment outside",
        "master.uris-stay",
        edit(f"{TOP}/playlist.m3u8", "seg1.ts", "../../../seg1.ts"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect(
        "a segment on another host",
        "master.uris-stay",
        edit(f"{TOP}/playlist.m3u8", "seg1.ts", "http://169.254.169.254/seg1.ts"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect("a missing segment", "master.uris-answer", removed(f"{TOP}/seg1.ts")),
    Defect("a missing playlist", "master.uris-answer", removed(TOP)),
    Defect("missing subtitles", "master.uris-answer", before_sound(SUBTITLES.format("v1/subs.m3u8"))),
    Defect(
        "missing session data",
        "master.uris-answer",
        before_sound('#EXT-X-SESSION-DATA:DATA-ID="a",URI="data.json"'),
    ),
    Defect("subtitles outside", "master.uris-stay", before_sound(SUBTITLES.format("../subs.m3u8"))),
    Defect(
        "session data outside",
        "master.uris-stay",
        before_sound('#EXT-X-SESSION-DATA:DATA-ID="a",URI="file:///etc/passwd"'),
    ),
    Defect(
        "master tag in a media playlist",
        "media.parses",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF", "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect("no ENDLIST", "media.vod", drop_line(f"{TOP}/playlist.m3u8", "#EXT-X-ENDLIST")),
    Defect("no VOD", "media.vod", drop_line(f"{SOUND}/playlist.m3u8", "#EXT-X-PLAYLIST-TYPE")),
    Defect(
        "segments longer than promised",
        "media.target-duration",
        everywhere(
            *(f"{d}/playlist.m3u8" for d in (TOP, LOW, SOUND)), old="TARGETDURATION:6", new="TARGETDURATION:5"
        ),
    ),
    Defect(
        "another target duration",
        "media.one-target-duration",
        edit(f"{SOUND}/playlist.m3u8", "TARGETDURATION:6", "TARGETDURATION:7"),
    ),
    Defect(
        "one boundary fewer",
        "media.same-boundaries",
        without_boundary,
        frozenset({"media.one-target-duration", "segments.keys-aligned"}),
    ),
    Defect(
        "EXTINF half a second off",
        "media.extinf",
        everywhere(*(f"{d}/playlist.m3u8" for d in (TOP, LOW)), old="EXTINF:2.000000", new="EXTINF:2.500000"),
        frozenset({"storyboard.covers"}),
    ),
    Defect("version too low", "media.version", edit(f"{LOW}/iframes.m3u8", "VERSION:5", "VERSION:4")),
    Defect(
        "floating durations in version 2",
        "media.version",
        edit(f"{TOP}/playlist.m3u8", "VERSION:6", "VERSION:2"),
    ),
    Defect(
        "a discontinuity",
        "media.no-discontinuity",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF:2", "#EXT-X-DISCONTINUITY\n#EXTINF:2"),
    ),
    Defect(
        "encrypted",
        "media.supported",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="seg0.ts"\n#EXTINF'),
    ),
    Defect(
        "encrypted, says the master",
        "media.supported",
        edit(MASTER, "#EXT-X-MEDIA", '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="master.m3u8"\n#EXT-X-MEDIA'),
    ),
    Defect("HEVC", "media.supported", edit(MASTER, "avc1.64001e", "hvc1.1.6.L60.90")),
    Defect("AC-3", "media.supported", edit(MASTER, "mp4a.40.2", "ac-3", count=2)),
    Defect("a range that ends within a packet", "media.iframe-ranges", moved_range(end=-PACKET - 1)),
    Defect("a range without the last packet", "media.iframe-ranges", moved_range(end=-PACKET)),
    Defect("a range of half a picture", "media.iframe-ranges", moved_range(end=-12 * PACKET)),
    Defect(
        "a range that begins in the picture before", "media.iframe-ranges", moved_range(begin=-5 * PACKET)
    ),
    Defect(
        "a range of two pictures",
        "media.iframe-ranges",
        moved_range(end=60 * PACKET),
        frozenset({"master.bandwidth"}),
    ),
    Defect(
        "an ordinary playlist for I-frames",
        "media.iframe-ranges",
        edit(MASTER, "180p/iframes.m3u8", "180p/playlist.m3u8"),
        frozenset({"master.bandwidth", "whole.no-stray-files"}),
    ),
    Defect(
        "I-frames shown too shortly",
        "media.iframe-timeline",
        edit(STILLS, "EXTINF:2.0", "EXTINF:0.1", count=-1),
        frozenset({"master.bandwidth"}),
    ),
    Defect("one key frame again and again", "media.iframe-timeline", one_still_for_all),
    Defect("fewer key frames", "media.iframe-timeline", fewer_stills),
    Defect("key frames backwards", "media.iframe-timeline", stills_backwards),
    Defect("the first I-frame missing", "media.iframe-timeline", without_still("seg0.ts")),
    Defect("the last I-frame missing", "media.iframe-timeline", without_still("seg2.ts")),
    Defect(
        "an I-frame list not called so",
        "media.iframe-ranges",
        drop_line(f"{LOW}/iframes.m3u8", "#EXT-X-I-FRAMES-ONLY"),
        frozenset({"media.version"}),
    ),
    Defect(
        "a byte too many", "segments.whole-packets", bytes_of(f"{TOP}/seg0.ts", lambda data: data + b"\x00")
    ),
    Defect(
        "a damaged packet",
        "segments.readable",
        bytes_of(f"{TOP}/seg0.ts", lambda data: data[: 9 * PACKET] + b"\x00" + data[9 * PACKET + 1 :]),
    ),
    Defect(
        "sound where pictures belong",
        "segments.readable",
        sound_for_pictures,
        frozenset({"segments.continuity"}),
    ),
    Defect(
        "tables after the picture",
        "segments.start",
        bytes_of(f"{TOP}/seg0.ts", tables_last),
        frozenset({"segments.continuity"}),
    ),
    Defect("keys elsewhere in one rung", "segments.keys-aligned", reencoded("360p", gop=25)),
    Defect("a lost packet", "segments.continuity", bytes_of(f"{TOP}/seg0.ts", without_packet(40))),
    Defect(
        "segments in the wrong order",
        "segments.timeline",
        swapped_names,
        frozenset(
            {
                "segments.continuity",
                "segments.keys-aligned",
                "segments.key-interval",
                "segments.sound-in-step",
                "media.iframe-timeline",
            }
        ),
    ),
    Defect("level 6.1", "segments.h264", level_61, frozenset({"master.codecs"})),
    Defect("interlaced", "segments.h264", reencoded("180p", x264=":tff=1")),
    Defect("a key only every 6 s", "segments.key-interval", both_reencoded(gop=150)),
    Defect(
        "open GOPs",
        "segments.closed-gops",
        both_reencoded(x264=":open-gop=1:bframes=3"),
        frozenset({"segments.start", "media.iframe-ranges"}),
    ),
    Defect("AAC Main", "segments.aac", adts_profile, frozenset({"master.codecs"})),
    Defect("256 kb/s of sound", "segments.aac", new_audio(rate="256k")),
    Defect("whispering sound", "segments.aac-rate", new_audio(rate="16k")),
    Defect("sound 67 ms late", "segments.sound-in-step", new_audio(offset="10.067")),
    Defect("cues without WEBVTT", "storyboard.parses", edit(CUES, "WEBVTT", "WEBVTX")),
    Defect("times of SubRip", "storyboard.parses", edit(CUES, "04.000 -->", "04,000 -->")),
    Defect("a part in per cent", "storyboard.parses", edit(CUES, "xywh=", "xywh=percent:")),
    Defect(
        "a cue of two pictures", "storyboard.parses", edit(CUES, "\n\n00:00:04", "\nother.jpg\n\n00:00:04")
    ),
    Defect("a gap between two cues", "storyboard.covers", edit(CUES, "04.000 -->", "04.001 -->")),
    Defect("cues that overlap", "storyboard.covers", edit(CUES, "--> 00:00:04.000", "--> 00:00:04.001")),
    Defect("a cue that does not last", "storyboard.covers", edit(CUES, "04.000", "02.000", count=2)),
    Defect("no cue for the start", "storyboard.covers", edit(CUES, "00.000 -->", "00.500 -->")),
    Defect("no cue for the end", "storyboard.covers", edit(CUES, "--> 00:00:14.000", "--> 00:00:13.800")),
    Defect("cues beyond the end", "storyboard.covers", edit(CUES, "--> 00:00:14.000", "--> 00:00:14.200")),
    Defect("no cues at all", "storyboard.covers", lambda tree: write(tree / CUES, "WEBVTT\n")),
    Defect("a part beyond the right", "storyboard.parts", edit(CUES, "480,0,160,90", "481,0,160,90")),
    Defect("a part beyond the bottom", "storyboard.parts", edit(CUES, "320,90,160,90", "320,90,160,91")),
    Defect("a part of nothing", "storyboard.parts", edit(CUES, "320,90,160,90", "320,90,160,0")),
    Defect("a picture that is none", "storyboard.pictures", bytes_of(SHEET, lambda data: data[2:])),
    Defect("a picture without a frame", "storyboard.pictures", bytes_of(SHEET, lambda data: data[:20])),
    Defect("half of a picture", "storyboard.pictures", bytes_of(SHEET, lambda data: data[: len(data) // 2])),
    Defect("a missing picture", "master.uris-answer", removed(SHEET)),
    Defect("a picture outside", "master.uris-stay", edit(CUES, "storyboard.jpg", "../../secret.jpg")),
    Defect(
        "a picture on another host", "master.uris-stay", edit(CUES, "storyboard.jpg", "//h/storyboard.jpg")
    ),
    Defect("a forgotten segment", "whole.no-stray-files", stray_segment),
]
