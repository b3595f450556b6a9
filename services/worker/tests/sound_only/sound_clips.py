"""Small sources without a moving picture."""

import struct
import wave
from pathlib import Path

from services.worker.tests.clips import AAC, ffmpeg, make, picture, sound
from services.worker.tests.tracks.track_clips import tones, written

SECONDS = 7.0
CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=3000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=3000
END=7000
title=Two
"""


def _cover(folder: Path, *, size: str = "300x200", codec: str = "png") -> Path:
    path = folder / f"cover.{codec}"
    ffmpeg("-v", "error", *picture(size, seconds=1, fps="1"), "-frames:v", "1", str(path))
    return path


def mp3(folder: Path) -> Path:
    return make(folder / "a.mp3", sound(SECONDS), codecs=["-c:a", "libmp3lame", "-b:a", "128k"])


def mp3_with_large_tag(folder: Path) -> Path:
    """A tag of 10 MB in front of the sound."""
    size = 10 << 20
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return written(folder / "tag.mp3", b"ID3\4\0\0" + length + bytes(size) + mp3(folder).read_bytes())


def flac_with_cover(folder: Path) -> Path:
    return _with_cover(folder, "flac", _cover(folder))


def mp3_with_cover(folder: Path) -> Path:
    return _with_cover(folder, "mp3", _cover(folder))


def flac_with_large_cover(folder: Path) -> Path:
    return _with_cover(folder, "flac", _cover(folder, size="3000x1500"))


def flac_with_huge_cover(folder: Path) -> Path:
    """A picture of 8400 × 4400 pixels, more than any decoder is opened for."""
    return _with_cover(folder, "flac", _cover(folder, size="8400x4400"))


def _with_cover(folder: Path, kind: str, cover: Path) -> Path:
    maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"]
    return make(folder / f"cover.{kind}", sound(SECONDS), ["-i", str(cover)], codecs=maps)


def mp3_with_wrong_cover(folder: Path) -> Path:
    """The tag says JPEG, but the cover has bytes of a PNG."""
    made = _with_cover(folder, "mp3", _cover(folder)).read_bytes()
    assert b"image/png" in made
    return written(
        folder / "wrong.mp3", made.replace(b"image/png", b"image/jpg").replace(b"\x89PNG\r\n", b"\0" * 6)
    )


def m4a_with_chapters(folder: Path) -> Path:
    chapters = written(folder / "chapters.txt", CHAPTERS)
    maps = ["-map", "0", "-map_chapters", "1", *AAC]
    return make(folder / "book.m4a", sound(SECONDS), ["-i", str(chapters)], codecs=maps)


def opus_in_webm(folder: Path) -> Path:
    return make(folder / "a.webm", sound(SECONDS), codecs=["-c:a", "libopus"])


def vorbis_in_ogg(folder: Path) -> Path:
    return make(folder / "a.ogg", sound(SECONDS), codecs=["-c:a", "libvorbis"])


def wav(folder: Path) -> Path:
    return make(folder / "a.wav", sound(SECONDS), codecs=["-c:a", "pcm_s16le"])


def wav_of_unknown_length(folder: Path) -> Path:
    """As programs write it that do not know its length yet."""
    made = bytearray(wav(folder).read_bytes())
    at = made.index(b"data") + 4
    made[4:8] = made[at : at + 4] = b"\xff\xff\xff\xff"
    return written(folder / "stream.wav", bytes(made))


def surround_flac(folder: Path) -> Path:
    return make(folder / "surround.flac", sound(SECONDS, layout="7.1"), codecs=[])


def narrow_wav(folder: Path) -> Path:
    return make(folder / "narrow.wav", sound(SECONDS, rate=8000, layout="mono"), codecs=[])


def empty_wav(folder: Path) -> Path:
    path = folder / "empty.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
    return path


def two_languages(folder: Path) -> Path:
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]
    codecs = ["-map", "0", "-map", "1", *AAC, *tags]
    return make(folder / "two.m4a", tones("stereo", "stereo", seconds=SECONDS), codecs=codecs)


def noise(folder: Path) -> Path:
    """Bytes that resemble MPEG audio in a few places only."""
    return written(
        folder / "noise", b"".join(struct.pack(">I", n * 2654435761 % 2**32) for n in range(40_000))
    )


def quiet_wav(folder: Path) -> Path:
    """A tone of -40 dBFS."""
    quiet = [
        "-f",
        "lavfi",
        "-i",
        f"sine=frequency=1000:duration={SECONDS},volume=-22dB,aformat=channel_layouts=stereo",
    ]
    return make(folder / "quiet.wav", quiet, codecs=[])


def silent_wav(folder: Path) -> Path:
    silence = ["-f", "lavfi", "-i", f"anullsrc=duration={SECONDS}:channel_layout=stereo"]
    return make(folder / "silent.wav", silence, codecs=[])


def quiet_with_click(folder: Path) -> Path:
    """A tone of -40 dBFS with 5 ms of full scale."""
    tone = f"aevalsrc=0.01*sin(2000*PI*t)+0.5*between(t\\,3\\,3.005)*sin(2000*PI*t):d={SECONDS}:s=48000"
    return make(
        folder / "click.wav", ["-f", "lavfi", "-i", f"{tone},aformat=channel_layouts=stereo"], codecs=[]
    )


def damaged_second_language(folder: Path) -> Path:
    """Every packet of the second sound is noise."""
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]
    spoiled = ["-bsf:a:1", "noise=amount=1"]
    codecs = ["-map", "0", "-map", "1", *AAC, *tags, *spoiled]
    return make(folder / "damaged.mka", tones("stereo", "stereo", seconds=SECONDS), codecs=codecs)


def half_a_day_and_more(folder: Path) -> Path:
    """13 h of 8 bits at 8 kHz, most of them a hole in the file."""
    path = folder / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", ""))
    samples = 13 * 3600 * 8_000
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = (samples + 36).to_bytes(4, "little"), samples.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with path.open("r+b") as hole:
        hole.truncate(samples + len(data))
    return path
