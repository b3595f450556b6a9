"""Trees of fragmented MP4, and ways to break them."""

from collections.abc import Callable
from pathlib import Path

from gostream_conformance.formats.mp4.boxes import Box, boxes, needed
from gostream_conformance.formats.mp4.fragments import parse_fragments

from .breaking import LOW, MASTER, SOUND, TOP, Spoil, bytes_of, edit
from .defects import Defect
from .trees import CODECS, FPS, SIZES, bandwidths, run_ffmpeg, still_bandwidth

SECONDS = 8
_LEVELS = {"360p": "3.0", "180p": "1.3"}
_HLS = (
    *("-map_metadata", "-1", "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"),
    *("-hls_segment_type", "fmp4", "-hls_flags", "independent_segments"),
    *("-hls_segment_options", "use_editlist=0", "-hls_segment_filename"),
)


def build_fragments(tree: Path) -> None:
    """Two rungs of two segments, a group of sound, an I-frame playlist and a master."""
    for rung, (width, height) in SIZES.items():
        folder = tree / "v1" / rung
        folder.mkdir(parents=True)
        run_ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r={FPS}:d={SECONDS}"),
            *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-level:v", _LEVELS[rung]),
            *("-pix_fmt", "yuv420p", "-bf", "0", "-crf", "23", "-maxrate", "1M", "-bufsize", "2M"),
            *("-g", "50", "-x264-params", "scenecut=0:open-gop=0", *_HLS),
            *(str(folder / "seg%d.m4s"), str(folder / "playlist.m3u8")),
        )
    folder = tree / SOUND
    folder.mkdir(parents=True)
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"sine=440:r=48000:d={SECONDS}", "-c:a", "aac", "-b:a", "96k", "-ac", "2"),
        *(*_HLS, str(folder / "seg%d.m4s"), str(folder / "playlist.m3u8")),
    )
    write_fragment_iframes(tree / LOW)
    _write_master(tree)


def write_fragment_iframes(folder: Path) -> None:
    """Lists the first picture of each segment, from its moof on."""
    head = (folder / "init.mp4").read_bytes()
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:4", "#EXT-X-PLAYLIST-TYPE:VOD"]
    lines += ["#EXT-X-I-FRAMES-ONLY", '#EXT-X-MAP:URI="init.mp4"']
    for number in range(SECONDS // 4):
        found = parse_fragments(head + (folder / f"seg{number}.m4s").read_bytes(), seam=len(head))
        first = found.runs[0].samples[0]
        size = first.offset + first.size - first.moof
        lines += ["#EXTINF:4.00000,", f"#EXT-X-BYTERANGE:{size}@{first.moof - len(head)}", f"seg{number}.m4s"]
    (folder / "iframes.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))


def _write_master(tree: Path) -> None:
    loudest, usual = bandwidths(tree / SOUND)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines.append(
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Main",DEFAULT=YES,AUTOSELECT=YES,URI="{SOUND}/playlist.m3u8"'
    )
    for rung, (width, height) in SIZES.items():
        peak, average = bandwidths(tree / "v1" / rung)
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={peak + loudest},AVERAGE-BANDWIDTH={average + usual},"
            f'CODECS="{CODECS[rung]},mp4a.40.2",RESOLUTION={width}x{height},FRAME-RATE={FPS:.3f},AUDIO="aac"'
        )
        lines.append(f"v1/{rung}/playlist.m3u8")
    lines.append(
        f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={still_bandwidth(tree / LOW)},CODECS="{CODECS["180p"]}",'
        f'RESOLUTION=320x180,URI="{LOW}/iframes.m3u8"'
    )
    (tree / MASTER).write_text("\n".join([*lines, ""]))


def box_at(data: bytes | bytearray, *path: bytes) -> Box:
    """Returns the box at a path of types from the top."""
    held = bytes(data)
    first = next(box for box in boxes(held, 0, len(held), top=True) if box.kind == path[0])
    return needed(held, first, *path[1:])


def changed(path: str, where: tuple[bytes, ...], skip: int, size: int, change: Callable[[int], int]) -> Spoil:
    """Changes a number of a box."""

    def spoil(data: bytearray) -> bytearray:
        at = box_at(data, *where).body + skip
        data[at : at + size] = change(int.from_bytes(data[at : at + size], "big")).to_bytes(size, "big")
        return data

    return bytes_of(path, spoil)


def renamed(path: str, where: tuple[bytes, ...], kind: bytes) -> Spoil:
    """Gives a box another type."""

    def spoil(data: bytearray) -> bytearray:
        at = box_at(data, *where).start + 4
        data[at : at + 4] = kind
        return data

    return bytes_of(path, spoil)


def half(number: int) -> int:
    return number // 2


def each(*spoils: Spoil) -> Spoil:
    def spoil(tree: Path) -> None:
        for one in spoils:
            one(tree)

    return spoil


def without_map(path: str) -> Spoil:
    return edit(f"{path}/playlist.m3u8", '#EXT-X-MAP:URI="init.mp4"\n', "")


def bytes_before_data(path: str) -> Spoil:
    """Puts a free box between moof and mdat; the offsets are moved with it."""

    def spoil(data: bytearray) -> bytearray:
        at = box_at(data, b"moof").end
        data[at:at] = b"\x00\x00\x00\x08free"
        trun = box_at(data, b"moof", b"traf", b"trun").body + 8
        data[trun : trun + 4] = (int.from_bytes(data[trun : trun + 4], "big") + 8).to_bytes(4, "big")
        return data

    return bytes_of(path, spoil)


def another_level(path: str) -> Spoil:
    """Lets the avcC promise level 5.2."""

    def spoil(data: bytearray) -> bytearray:
        data[data.index(b"avcC") + 7] = 52
        return data

    return bytes_of(path, spoil)


SOUND_FIRST = f"{SOUND}/seg0.m4s"
TFHD, TRUN, MFHD = (b"moof", b"traf", b"tfhd"), (b"moof", b"traf", b"trun"), (b"moof", b"mfhd")
STSZ = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
AVC1 = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
FIRST, SECOND, INIT = f"{TOP}/seg0.m4s", f"{TOP}/seg1.m4s", f"{TOP}/init.mp4"
TFDT = (b"moof", b"traf", b"tfdt")
BOTH = ((FIRST, f"{LOW}/seg0.m4s"), (SECOND, f"{LOW}/seg1.m4s"))


def _later(ticks: int, *paths: str) -> Spoil:
    return each(*(changed(path, TFDT, 4, 8, lambda time: time + ticks) for path in paths))


LEGAL_FRAGMENTS = {
    "a free box before the mdat's data": renamed(FIRST, (b"sidx",), b"free"),
    "a clock that starts later": each(
        _later(12_800 * 10, *(path for pair in BOTH for path in pair)),
        _later(48_000 * 10, *(f"{SOUND}/seg{number}.m4s" for number in range(3))),
    ),
}
FRAGMENT_DEFECTS = [
    Defect("no EXT-X-MAP", "fragments.map", without_map(TOP), frozenset({"master.codecs"})),
    Defect(
        "an EXT-X-MAP without moov",
        "fragments.map",
        renamed(INIT, (b"moov",), b"free"),
        frozenset({"master.codecs"}),
    ),
    Defect("no ftyp", "fragments.map", renamed(INIT, (b"ftyp",), b"free")),
    Defect("a sample in the moov", "fragments.map", changed(INIT, STSZ, 8, 4, lambda _: 1)),
    Defect("another level in the avcC", "fragments.sample-entry", another_level(INIT)),
    Defect("another size in the sample entry", "fragments.sample-entry", changed(INIT, AVC1, 40, 2, half)),
    Defect("a box between moof and mdat", "fragments.order", bytes_before_data(FIRST)),
    Defect("absolute offsets", "fragments.offsets", changed(FIRST, TFHD, 1, 3, lambda f: f & ~0x20000)),
    Defect(
        "an offset outside the mdat",
        "fragments.offsets",
        changed(SOUND_FIRST, TRUN, 8, 4, lambda offset: offset - 1),
    ),
    Defect("a second tfdt that is a tick late", "fragments.decode-times", _later(1, *BOTH[1])),
    Defect(
        "a second tfdt that is a second late",
        "fragments.decode-times",
        _later(12800, *BOTH[1]),
        frozenset({"segments.timeline", "segments.key-interval", "media.iframe-timeline"}),
    ),
    Defect(
        "an IDR picture that is marked as none",
        "fragments.sync-samples",
        changed(FIRST, TRUN, 16, 4, lambda flags: flags | 0x10000),
    ),
    Defect("a sequence number twice", "fragments.sequence", changed(SECOND, MFHD, 4, 4, lambda _: 1)),
]
