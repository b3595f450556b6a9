"""Legal boxes and elements that few files have."""

import random
import struct
import zlib
from pathlib import Path

from .boxes import descend, insert
from .media import AAC, X264, ffmpeg, make, picture, remux, sound, written
from .unusual import plain, vp9_webm

_TINY = "96x64"


def _film(folder: Path, name: str, seconds: float = 2, *options: str) -> Path:
    codecs = [*X264, "-g", "25", *AAC, *options]
    return make(folder / name, picture(_TINY, seconds), sound(seconds), codecs=codecs)


def edited_for_b_frames(folder: Path) -> Path:
    """The first picture has a time after zero, and an edit list subtracts it."""
    return _film(folder, "frames.mp4", 2, "-bf", "2")


def edited_empty_start(folder: Path) -> Path:
    """The sound begins 0.5 s late: an empty edit comes first."""
    delayed = ["-itsoffset", "0.5", *sound(1.5)]
    return make(folder / "empty.mp4", picture(_TINY), delayed, codecs=[*X264, *AAC])


def edited_inside_a_group(folder: Path) -> Path:
    """A cut without encoding: pictures up to 0.6 s are decoded, and not shown."""
    whole = _film(folder, "whole.mp4", 3)
    path = folder / "cut.mp4"
    ffmpeg("-ss", "0.6", "-i", str(whole), "-map", "0", "-c", "copy", str(path))
    return path


def edited_twice(folder: Path) -> Path:
    """Of two seconds the first half and the last quarter are shown."""
    data = _film(folder, "whole.mp4", 2, "-bf", "0").read_bytes()
    at = data.index(b"elst") - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    scale = struct.unpack(">I", _content(data, (b"moov", b"mvhd"))[12:16])[0]
    ticks = struct.unpack(">I", _content(data, (b"moov", b"trak", b"mdia", b"mdhd"))[12:16])[0]
    edits = [(scale, 0), (scale // 2, 3 * ticks // 2)]
    listed = b"".join(struct.pack(">Iihh", length, start, 1, 0) for length, start in edits)
    box = struct.pack(">I4sII", 16 + len(listed), b"elst", 0, len(edits)) + listed
    changed = bytearray(insert(data, end, box))
    changed[at + 4 : at + 8] = b"free"
    return written(folder / "twice.mp4", bytes(changed))


def _content(data: bytes, way: tuple[bytes, ...]) -> bytes:
    [*_, (start, end)] = descend(data, way)
    return data[start + 8 : end]


def compressed_index(folder: Path) -> Path:
    """`cmov`: the index of an old QuickTime film, packed by zlib."""
    data = _film(folder, "whole.mov").read_bytes()
    [(start, end)] = descend(data, (b"moov",))
    packed = struct.pack(">I", end - start) + zlib.compress(data[start:end])
    inner = _box(b"dcom", b"zlib") + _box(b"cmvd", packed)
    return written(folder / "packed.mov", data[:start] + _box(b"moov", _box(b"cmov", inner)) + data[end:])


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def data_to_the_end(folder: Path) -> Path:
    """The size of `mdat` is 0: it ends with the file."""
    front = remux(_film(folder, "whole.mp4"), folder / "front.mp4", "-movflags", "+faststart")
    data = bytearray(front.read_bytes())
    [(start, _)] = descend(bytes(data), (b"mdat",))
    data[start : start + 4] = bytes(4)
    return written(folder / "open.mp4", bytes(data))


def without_sync_table(folder: Path) -> Path:
    """Without `stss` every picture counts as a key frame, and most are none."""
    data = bytearray(_film(folder, "whole.mp4").read_bytes())
    at = data.index(b"stss")
    data[at : at + 4] = b"free"
    return written(folder / "nosync.mp4", bytes(data))


def timed_metadata(folder: Path) -> Path:
    """A third track of telephones: `mebx`, of no codec that anything here knows."""
    whole = _film(folder, "whole.mov")
    coded = remux(whole, folder / "coded.mov", "-timecode", "01:00:00:00")
    data = bytearray(coded.read_bytes())
    at = data.rindex(b"trak")
    handler = data.index(b"tmcd", data.index(b"hdlr", at))
    data[handler : handler + 4] = b"meta"
    entry = data.index(b"tmcd", data.index(b"stsd", at))
    data[entry : entry + 4] = b"mebx"
    return written(folder / "mebx.mov", bytes(data))


def attached_fonts(folder: Path) -> Path:
    """Three megabytes of fonts in front of the film."""
    chance = random.Random(1)
    fonts = [written(folder / f"{n}.ttf", chance.randbytes(1 << 20)) for n in range(3)]
    attached = [word for font in fonts for word in ("-attach", str(font))]
    kinds = ["-metadata:s:t", "mimetype=application/x-truetype-font"]
    return remux(_film(folder, "whole.mp4"), folder / "fonts.mkv", *attached, *kinds)


def large_cover(folder: Path) -> Path:
    """A picture of 12 megapixels that is no film."""
    cover = folder / "cover.jpg"
    ffmpeg(*picture("4000x3000", 0.04), "-frames:v", "1", "-update", "1", str(cover))
    path = folder / "covered.mp4"
    tracks = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"]
    ffmpeg("-i", str(_film(folder, "whole.mp4")), "-i", str(cover), *tracks, str(path))
    return path


def webm_from_an_hour(folder: Path) -> Path:
    return remux(vp9_webm(folder), folder / "hour.webm", "-output_ts_offset", "3600")


def hello_world(folder: Path) -> Path:
    return written(folder / "hello.mp4", b"hello world\n")


def many_lines(folder: Path) -> Path:
    lines = [f"Line {number} of a letter without an address, in {number * 7} words." for number in range(200)]
    return written(folder / "letter.mp4", "\n".join(lines).encode())


def _noise(folder: Path, seed: int) -> Path:
    return written(folder / "noise.mp4", random.Random(seed).randbytes(100_000))


def noise_2(folder: Path) -> Path:
    return _noise(folder, 2)


def noise_3(folder: Path) -> Path:
    return _noise(folder, 3)


def front_of_text(folder: Path) -> Path:
    """A film behind a letter is a letter."""
    return written(folder / "front.mp4", b"Dear reader,\n" * 1000 + plain(folder).read_bytes())
