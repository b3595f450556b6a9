"""One planted defect, at least, for every rule that can be seen in a directory."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gostream_shared.conformance.ts import AAC, CLOCK, H264, PACKET

from .packets import MUXED_SOUND_PID, PMT_PID, SOUND_PID, VIDEO_PID, begins, moved, packets, pid_of, remapped
from .trees import encode_audio, encode_muxed, encode_video, write_iframes, write_master, write_muxed_master

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


def repeated(data: bytearray, *, times: int) -> bytes:
    """A packet that begins a picture comes so many times."""
    at = 49 * PACKET
    return bytes(data[:at] + data[at : at + PACKET] * times + data[at + PACKET :])


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


def tail_first(behind: int) -> Spoil:
    """The last packets of a segment moved into the next one, behind so many of its packets."""

    def spoil(tree: Path) -> None:
        one, two = tree / TOP / "seg0.ts", tree / TOP / "seg1.ts"
        tail, data = one.read_bytes()[-5 * PACKET :], two.read_bytes()
        one.write_bytes(one.read_bytes()[: -5 * PACKET])
        two.write_bytes(data[: behind * PACKET] + tail + data[behind * PACKET :])

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


def late_sound(segment: str, later: Callable[[int], int]) -> Spoil:
    """Each PES packet of the sound `later(number)` ticks later."""
    return bytes_of(f"{SOUND}/{segment}", lambda data: moved(data, SOUND_PID, later))


def drifting_sound(tree: Path) -> None:
    """0.44 of a frame more at each boundary."""
    late_sound("seg1.ts", lambda _: 850)(tree)
    late_sound("seg2.ts", lambda _: 1700)(tree)


def muxed(spoil: Callable[[int, bytes], bytes]) -> Spoil:
    """One variant with picture and sound in the same segments, each of them spoilt."""

    def make(tree: Path) -> None:
        for directory in (TOP, LOW, SOUND):
            shutil.rmtree(tree / directory)
        encode_muxed(tree / LOW)
        for number in range(3):
            file = tree / LOW / f"seg{number}.ts"
            file.write_bytes(spoil(number, file.read_bytes()))
        write_muxed_master(tree)

    return make


def silent_in_the_middle(number: int, data: bytes) -> bytes:
    return b"".join(p for p in packets(data) if number != 1 or pid_of(p) != MUXED_SOUND_PID)


def silent_at_first(number: int, data: bytes) -> bytes:
    return b"".join(p for p in packets(data) if number != 0 or pid_of(p) != MUXED_SOUND_PID)


def late_after_the_first(number: int, data: bytes) -> bytes:
    return moved(data, MUXED_SOUND_PID, lambda _: 3 * CLOCK if number else 0)


def without_pictures(tree: Path) -> None:
    """The last segments of both rungs lose ten pictures, and their counters do not tell."""
    for rung in (TOP, LOW):
        file = tree / rung / "seg2.ts"
        kept, picture, lost = [], -1, 0
        for packet in packets(file.read_bytes()):
            if pid_of(packet) == VIDEO_PID:
                picture += begins(packet)
                if 20 <= picture < 30:
                    lost += packet[3] >> 4 & 1
                    continue
                packet[3] = packet[3] & 0xF0 | packet[3] - lost & 0x0F
            kept.append(packet)
        file.write_bytes(b"".join(kept))
    write_master(tree)


def listed(streams: dict[int, int]) -> Spoil:
    """The program maps of a rung list these streams: PID → stream_type."""

    def spoil(tree: Path) -> None:
        for number in range(3):
            bytes_of(f"{TOP}/seg{number}.ts", lambda data: remapped(data, streams))(tree)

    return spoil


def damaged_later(data: bytearray) -> bytes:
    """All program maps but the first are filled with something else."""
    found = packets(data)
    _, *later = [packet for packet in found if pid_of(packet) == PMT_PID]
    for packet in later:
        packet[5:] = b"\xee" * 183
    return b"".join(found)


def other_later(data: bytearray) -> bytes:
    """All program maps but the first list a stream more."""
    found = packets(remapped(data, {VIDEO_PID: H264, MUXED_SOUND_PID: AAC}))
    first = next(number for number, packet in enumerate(found) if pid_of(packet) == PMT_PID)
    found[first] = packets(data)[first]
    return b"".join(found)


def on_another_pid(data: bytearray) -> bytes:
    found = packets(remapped(data, {0x123: H264}))
    for packet in (p for p in found if pid_of(p) == VIDEO_PID):
        packet[1:3] = (packet[1] << 8 & 0xE000 | 0x123).to_bytes(2)
    return b"".join(found)


#: What breaks no rule.
LEGAL = {
    "a packet that comes twice": bytes_of(f"{TOP}/seg0.ts", lambda data: repeated(data, times=2)),
    "tables in EXT-X-MAP and in the segments": edit(
        f"{TOP}/playlist.m3u8", "#EXTINF", '#EXT-X-MAP:URI="seg0.ts",BYTERANGE="564@0"\n#EXTINF'
    ),
    "timed metadata beside the pictures": listed({VIDEO_PID: H264, 0x102: 0x15}),
}
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
        frozenset({"segments.continuity", "segments.same-streams"}),
    ),
    Defect("MP3 beside the pictures", "segments.readable", listed({VIDEO_PID: H264, 0x101: 0x03})),
    Defect(
        "HEVC, say the tables", "segments.readable", listed({VIDEO_PID: 0x24}), frozenset({"master.codecs"})
    ),
    Defect(
        "fragmented MP4",
        "segments.readable",
        bytes_of(f"{TOP}/seg0.ts", lambda data: data[:4] + b"styp" + data[8:]),
    ),
    Defect("a damaged table later on", "segments.readable", bytes_of(f"{TOP}/seg0.ts", damaged_later)),
    Defect("another table later on", "segments.readable", bytes_of(f"{TOP}/seg0.ts", other_later)),
    Defect("another PID in a segment", "segments.same-streams", bytes_of(f"{TOP}/seg2.ts", on_another_pid)),
    Defect(
        "tables after the picture",
        "segments.start",
        bytes_of(f"{TOP}/seg0.ts", tables_last),
        frozenset({"segments.continuity"}),
    ),
    Defect("a picture's end before the tables", "segments.start", tail_first(behind=0)),
    Defect("a picture's end after the tables", "segments.start", tail_first(behind=3)),
    Defect("keys elsewhere in one rung", "segments.keys-aligned", reencoded("360p", gop=25)),
    Defect(
        "a packet that comes three times",
        "segments.continuity",
        bytes_of(f"{TOP}/seg0.ts", lambda data: repeated(data, times=3)),
        frozenset({"segments.timeline", "master.frame-rate"}),
    ),
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
    Defect(
        "sound that jumps within a segment",
        "segments.timeline",
        late_sound("seg0.ts", lambda number: 10 * CLOCK if number else 0),
    ),
    Defect(
        "sound that goes back", "segments.timeline", late_sound("seg0.ts", lambda number: -5 * CLOCK * number)
    ),
    Defect("sound that drifts", "segments.timeline", drifting_sound),
    Defect(
        "a muxed segment without sound",
        "segments.timeline",
        muxed(silent_in_the_middle),
        frozenset({"master.iframes"}),
    ),
    Defect(
        "muxed sound 3 s late from the second segment on",
        "segments.timeline",
        muxed(late_after_the_first),
        frozenset({"master.iframes"}),
    ),
    Defect(
        "muxed sound that begins a segment late",
        "segments.sound-in-step",
        muxed(silent_at_first),
        frozenset({"master.iframes"}),
    ),
    Defect("ten pictures fewer", "segments.no-holes", without_pictures, frozenset({"master.frame-rate"})),
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
    Defect(
        "mono after stereo",
        "segments.aac",
        bytes_of(f"{SOUND}/seg2.ts", lambda data: data.replace(b"\xff\xf1\x4c\x80", b"\xff\xf1\x4c\x40")),
    ),
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
