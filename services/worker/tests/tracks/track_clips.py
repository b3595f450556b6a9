"""Small sources with many tracks: languages, subtitles of every kind, flags."""

import struct
from itertools import pairwise
from pathlib import Path

import av

from services.worker.tests.clips import AAC, X264, ffmpeg, make, picture, sound

SRT = """1
00:00:00,500 --> 00:00:01,500
First & <i>second</i>

2
00:00:02,000 --> 00:00:02,900
Third --> fourth
"""
ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 320
PlayResY: 180

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Default,Arial,20,&H00FFFFFF,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,Spoken{\\i1} words{\\i0}\\Nin two lines
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100 0 100{\\p0}
Dialogue: 0,0:00:02.00,0:00:02.90,Default,,0,0,0,,Last
"""


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def tones(*layouts: str, seconds: float = 3) -> list[str]:
    """Inputs with one tone each: 300 Hz, 600 Hz and so on."""
    words = []
    for number, layout in enumerate(layouts, start=1):
        tone = f"sine=frequency={300 * number}:duration={seconds}:sample_rate=48000"
        words += ["-f", "lavfi", "-i", f"{tone},aformat=channel_layouts={layout}"]
    return words


def _tags(kind: str, *tracks: tuple[str, str, str]) -> list[str]:
    """Options of tracks: language, title, dispositions ("0" for none)."""
    words = []
    for number, (language, title, flags) in enumerate(tracks):
        words += [f"-disposition:{kind}:{number}", flags]
        for name, value in (("language", language), ("title", title)):
            words += [f"-metadata:s:{kind}:{number}", f"{name}={value}"] if value else []
    return words


def three_languages(folder: Path) -> Path:
    """English, German as the default, and a French description; the second one in 5.1."""
    inputs = [picture(seconds=3), tones("stereo", "5.1", "stereo")]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3"]
    tags = _tags("a", ("eng", "", "0"), ("ger", "", "default"), ("fra", "", "visual_impaired"))
    return make(folder / "three.mkv", *inputs, codecs=[*maps, *X264, *AAC, *tags])


def two_languages_to_copy(folder: Path) -> Path:
    """Three segments of a picture and of two sounds that need no encoding."""
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    tags = _tags("a", ("eng", "", "default"), ("ger", "", "0"))
    inputs = [picture(seconds=13), tones("stereo", "stereo", seconds=13)]
    groups = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "2", "-crf", "30"]
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    return make(folder / "copied.mp4", *inputs, codecs=[*maps, *x264, *groups, "-c:a", "aac", *tags])


def tone_of(path: Path) -> float:
    """The frequency in Hz of a tone, by its zero crossings."""
    with av.open(str(path)) as container:
        samples = [
            value
            for frame in container.decode(audio=0)
            for value in struct.unpack(f"<{frame.samples}f", bytes(frame.planes[0])[: 4 * frame.samples])
        ]
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    crossings = sum(1 for before, after in pairwise(middle) if before < 0 <= after)
    return float(crossings * 48_000 / len(middle))


def movie_text(folder: Path) -> Path:
    """MP4 with English and forced German mov_text."""
    texts = ["-i", str(written(folder / "a.srt", SRT))]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "2"]
    tags = _tags("s", ("eng", "", "0"), ("deu", "", "forced"))
    codecs = [*maps, *X264, *AAC, "-c:s", "mov_text", *tags]
    return make(folder / "text.mp4", picture(seconds=3), sound(3), texts, codecs=codecs)


def matroska_texts(folder: Path) -> Path:
    """MKV with SRT for people who cannot hear, ASS with a drawing, and WebVTT."""
    srt = ["-i", str(written(folder / "a.srt", SRT))]
    ass = ["-i", str(written(folder / "a.ass", ASS))]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "2"]
    kinds = ["-c:s:0", "copy", "-c:s:1", "copy", "-c:s:2", "webvtt"]
    tags = _tags("s", ("eng", "", "hearing_impaired"), ("deu", "", "0"), ("spa", "Curso", "0"))
    return make(
        folder / "texts.mkv",
        picture(seconds=3),
        sound(3),
        srt,
        ass,
        codecs=[*maps, *X264, *AAC, *kinds, *tags],
    )


def _segment(kind: int, body: bytes, milliseconds: int) -> bytes:
    return b"PG" + struct.pack(">IIBH", milliseconds * 90, 0, kind, len(body)) + body


def _blu_ray_subtitles() -> bytes:
    """One picture of 8 × 2 pixels from 0.5 s to 1.5 s, as a Blu-ray disc stores it."""
    size = struct.pack(">HH", 320, 180)
    window = struct.pack(">BBHHHH", 1, 0, 10, 10, 8, 2)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    lines = bytes([0, 0x80 | 8, 1, 0, 0]) * 2
    pixels = (
        struct.pack(">HBB", 0, 0, 0xC0)
        + (len(lines) + 4).to_bytes(3, "big")
        + struct.pack(">HH", 8, 2)
        + lines
    )
    shown = struct.pack(">BHBBBB", 0x10, 1, 0x80, 0, 0, 1) + struct.pack(">HBBHH", 0, 0, 0, 10, 10)
    hidden = struct.pack(">BHBBBB", 0x10, 2, 0, 0, 0, 0)
    return b"".join(
        [
            _segment(0x16, size + shown, 500),
            _segment(0x17, window, 500),
            _segment(0x14, palette, 500),
            _segment(0x15, pixels, 500),
            _segment(0x80, b"", 500),
            _segment(0x16, size + hidden, 1500),
            _segment(0x17, window, 1500),
            _segment(0x80, b"", 1500),
        ]
    )


def image_subtitles(folder: Path) -> Path:
    """MKV with subtitles as pictures, as of a Blu-ray disc."""
    images = ["-f", "sup", "-i", str(written(folder / "a.sup", _blu_ray_subtitles()))]
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    codecs = [*maps, *X264, *AAC, "-c:s", "copy", *_tags("s", ("eng", "", "0"))]
    return make(folder / "images.mkv", picture(seconds=3), sound(3), images, codecs=codecs)


def silent_first(folder: Path) -> Path:
    """MKV whose first sound has no packets."""
    whole = make(
        folder / "whole.mkv",
        picture(seconds=3),
        tones("stereo", "stereo"),
        codecs=["-map", "0", "-map", "1", "-map", "2", *X264, *AAC],
    )
    path = folder / "silent-first.mkv"
    ffmpeg("-i", str(whole), "-map", "0", "-c", "copy", "-bsf:a:0", "noise=drop=1", str(path))
    return path


def twelve_sounds(folder: Path) -> Path:
    inputs = [picture("96x64", 2), tones(*["stereo"] * 12, seconds=2)]
    maps = [word for number in range(13) for word in ("-map", str(number))]
    return make(folder / "twelve.mkv", *inputs, codecs=[*maps, *X264, *AAC])


def late_text(folder: Path) -> Path:
    """MP4 whose only text begins near the end: the gap before it is one packet."""
    texts = ["-i", str(written(folder / "late.srt", "1\n00:00:05,000 --> 00:00:05,500\nlate\n"))]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-c:s", "mov_text"]
    return make(folder / "late.mp4", picture(seconds=6), sound(6), texts, codecs=[*X264, *AAC, *maps])


def damaged_second_sound(folder: Path) -> Path:
    """MKV whose second sound is random bytes in most packets."""
    whole = make(
        folder / "sound.mkv",
        picture(seconds=3),
        tones("stereo", "stereo"),
        codecs=["-map", "0", "-map", "1", "-map", "2", *X264, *AAC],
    )
    path = folder / "damaged.mkv"
    ffmpeg("-i", str(whole), "-map", "0", "-c", "copy", "-bsf:a:1", "noise=amount=1", str(path))
    return path


def in_step(folder: Path, seconds: int = 12) -> Path:
    """MKV with a flash every two seconds, a beep with each in three languages, and a cue with each.

    English can be copied. German is 5.1, and French is Opus.
    """
    flashes = "drawbox=c=white:t=fill:enable='lt(mod(t+0.001\\,2)\\,0.08)'"
    drawn = ["-f", "lavfi", "-i", f"color=black:size=320x180:rate=25:duration={seconds},{flashes}"]
    heard = "0.4*sin(2*PI*1000*t)*lt(mod(t\\,2)\\,0.08)+0.02*(random(0)-0.5)"
    wave = f"aevalsrc='{heard}':s=48000:d={seconds}:c=mono"
    beeps = [
        word
        for layout in ("stereo", "5.1", "stereo")
        for word in ("-f", "lavfi", "-i", f"{wave},pan={layout}|{_alike(layout)}")
    ]
    cues = "".join(
        f"{n + 1}\n00:00:{2 * n:02d},000 --> 00:00:{2 * n + 1:02d},000\nflash {n}\n\n"
        for n in range(1, seconds // 2)
    )
    texts = ["-i", str(written(folder / "flashes.srt", cues))]
    maps = [word for number in range(5) for word in ("-map", str(number))]
    tags = _tags("a", ("eng", "", "default"), ("ger", "", "0"), ("fra", "", "0"))
    sounds = ["-c:a", "aac", "-c:a:2", "libopus", "-c:s", "copy", *_tags("s", ("eng", "", "0"))]
    codecs = [*maps, "-c:v", "mpeg4", "-q:v", "5", *sounds, *tags]
    return make(folder / "step.mkv", drawn, beeps, texts, codecs=codecs)


def _alike(layout: str) -> str:
    """The first channel of a sound in every channel of the layout."""
    return "|".join(f"c{number}=c0" for number in range(6 if layout == "5.1" else 2))


def long_in_step(folder: Path) -> Path:
    """The same of 44 s, which is encoded in chunks."""
    return in_step(folder, seconds=44)
