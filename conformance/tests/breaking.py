"""Ways to break a valid tree."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gostream_conformance.formats.mpegts import AAC, CLOCK, H264, PACKET

from .packets import MUXED_SOUND_PID, PMT_PID, SOUND_PID, VIDEO_PID, begins, moved, packets, pid_of, remapped
from .trees import encode_audio, encode_muxed, encode_video, write_iframes, write_master, write_muxed_master

Spoil = Callable[[Path], None]
MASTER, TOP, LOW, SOUND = "master.m3u8", "v1/360p", "v1/180p", "v1/audio"
STILLS = "v1/180p/iframes.m3u8"
CUES, SHEET = "v1/storyboard.vtt", "v1/storyboard.jpg"
SUBTITLES = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",URI="{}"'


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
    """Encodes one rung with other options and writes a matching master and I-frame playlist."""

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
    """Adds a line to the master."""
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
    """Joins the last two segments of a rung."""
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
    """Declares AAC Main instead of LC in the first audio frame."""
    file = tree / SOUND / "seg0.ts"
    data = bytearray(file.read_bytes())
    at = data.find(b"\xff\xf1\x4c")
    assert at > 0
    data[at + 2] &= 0x3F
    file.write_bytes(data)


def repeated(data: bytearray, *, times: int) -> bytes:
    """Repeats a packet that starts a frame."""
    at = 49 * PACKET
    return bytes(data[:at] + data[at : at + PACKET] * times + data[at + PACKET :])


def without_packet(index: int) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        del data[index * PACKET : (index + 1) * PACKET]
        return data

    return change


def tables_last(data: bytearray) -> bytes:
    """Moves PAT and PMT (the second and third packet) to the end."""
    return bytes(data[:PACKET] + data[3 * PACKET :] + data[PACKET : 3 * PACKET])


def moved_range(*, begin: int = 0, end: int = 0) -> Spoil:
    """Moves start and end of the second byte range, the first one with frames before it."""

    def spoil(tree: Path) -> None:
        text = (tree / STILLS).read_text()
        size, offset = map(int, re.findall(r"EXT-X-BYTERANGE:(\d+)@(\d+)", text)[1])
        edit(STILLS, f"{size}@{offset}", f"{size + end - begin}@{offset + begin}")(tree)

    return spoil


def tail_first(behind: int) -> Spoil:
    """Moves the last packets of a segment into the next one, after `behind` of its packets."""

    def spoil(tree: Path) -> None:
        one, two = tree / TOP / "seg0.ts", tree / TOP / "seg1.ts"
        tail, data = one.read_bytes()[-5 * PACKET :], two.read_bytes()
        one.write_bytes(one.read_bytes()[: -5 * PACKET])
        two.write_bytes(data[: behind * PACKET] + tail + data[behind * PACKET :])

    return spoil


def one_still_for_all(tree: Path) -> None:
    """Replaces all entries of a segment by its first key frame."""
    text = (tree / STILLS).read_text()
    first, *others = re.findall(r"\d+@\d+(?=\nseg0)", text)
    for other in others:
        edit(STILLS, other, first)(tree)


def fewer_stills(tree: Path) -> None:
    """Keeps only the first key frame of each segment, with the same durations."""
    text = (tree / STILLS).read_text()
    write(tree / STILLS, re.sub(r"#EXTINF.*\n#EXT-X-BYTERANGE:\d+@(?!564\n).*\nseg.*\n", "", text))


def stills_backwards(tree: Path) -> None:
    head, *segments = (tree / STILLS).read_text().removesuffix("#EXT-X-ENDLIST\n").split("#EXT-X-MAP")
    backwards = "".join(f"#EXT-X-MAP{segment}" for segment in reversed(segments))
    write(tree / STILLS, f"{head}{backwards}#EXT-X-ENDLIST\n")


def without_still(segment: str) -> Spoil:
    """Removes the first key frame of a segment."""

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
    """Pads one segment with null packets to twenty times its size."""
    file = tree / TOP / "seg1.ts"
    null = b"\x47\x1f\xff\x10" + b"\xff" * 184
    file.write_bytes(file.read_bytes() + null * (19 * file.stat().st_size // PACKET))
    write_master(tree)


def late_sound(segment: str, later: Callable[[int], int]) -> Spoil:
    """Delays each PES packet of the sound by `later(number)` ticks."""
    return bytes_of(f"{SOUND}/{segment}", lambda data: moved(data, SOUND_PID, later))


def drifting_sound(tree: Path) -> None:
    """Adds 0.44 of a frame of delay at each segment boundary."""
    late_sound("seg1.ts", lambda _: 850)(tree)
    late_sound("seg2.ts", lambda _: 1700)(tree)


def muxed(spoil: Callable[[int, bytes], bytes]) -> Spoil:
    """One variant with muxed segments, each changed by `spoil`."""

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
    """Removes ten frames from the last segments of both rungs and repairs the continuity counters."""
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
    """Sets the streams in the program maps of a rung: PID → stream_type."""

    def spoil(tree: Path) -> None:
        for number in range(3):
            bytes_of(f"{TOP}/seg{number}.ts", lambda data: remapped(data, streams))(tree)

    return spoil


def damaged_later(data: bytearray) -> bytes:
    """Overwrites all program maps except the first."""
    found = packets(data)
    _, *later = [packet for packet in found if pid_of(packet) == PMT_PID]
    for packet in later:
        packet[5:] = b"\xee" * 183
    return b"".join(found)


def other_later(data: bytearray) -> bytes:
    """Adds a stream to all program maps except the first."""
    found = packets(remapped(data, {VIDEO_PID: H264, MUXED_SOUND_PID: AAC}))
    first = next(number for number, packet in enumerate(found) if pid_of(packet) == PMT_PID)
    found[first] = packets(data)[first]
    return b"".join(found)


def on_another_pid(data: bytearray) -> bytes:
    found = packets(remapped(data, {0x123: H264}))
    for packet in (p for p in found if pid_of(p) == VIDEO_PID):
        packet[1:3] = (packet[1] << 8 & 0xE000 | 0x123).to_bytes(2)
    return b"".join(found)


#: Changes that break no rule.
