"""Films for the player tests: about 8 s of 640×360, each unusual in one way."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.corpus.media import AAC, X264, ffmpeg, make, picture, sound

SECONDS = 8
LONG_SECONDS = 60
#: Path of a real film. Tests that need it are skipped if GOSTREAM_REAL_FILM is unset.
REAL_FILM = Path(os.environ.get("GOSTREAM_REAL_FILM", ""))
_PICTURE = picture("640x360", SECONDS)
_SOUND = sound(SECONDS)
_HDR = ("-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
_VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")
_WEAVE = ("-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", "-b:v", "4M")

_RECIPES: Mapping[str, tuple[str, Sequence[Sequence[str]], Sequence[str]]] = {
    "ntsc": ("mp4", [picture("640x360", SECONDS, "30000/1001"), _SOUND], [*X264, "-bf", "2", *AAC]),
    "portrait-rotated": ("mp4", [_PICTURE, _SOUND], [*X264, *AAC]),
    "variable-rate": (
        "mp4",
        [_PICTURE, _SOUND],
        ["-vf", "select='mod(n,3)*not(between(t,1,1.5))'", "-fps_mode", "vfr", *X264, *AAC],
    ),
    "hdr10": ("mp4", [_PICTURE, _SOUND], [*_HDR, *_X265, "-pix_fmt", "yuv420p10le", *AAC]),
    "interlaced": ("ts", [picture("720x576", SECONDS, "50"), _SOUND], [*_WEAVE, "-c:a", "mp2"]),
    "surround": ("mp4", [_PICTURE, sound(SECONDS, layout="5.1")], [*X264, *AAC]),
    "silent": ("mp4", [_PICTURE], X264),
    "vp9": ("webm", [_PICTURE, _SOUND], _VP9),
    "prores": ("mov", [_PICTURE, _SOUND], ["-c:v", "prores_ks", "-c:a", "pcm_s16le"]),
    "odd-full-chroma": (
        "mkv",
        [picture("853x481", SECONDS), _SOUND],
        ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-c:a", "flac"],
    ),
    "cover": ("mkv", [picture("640x360", 0.04), _SOUND], [*X264, *AAC]),
    "sixty-fps": ("mp4", [picture("640x360", SECONDS, "60"), _SOUND], [*X264, *AAC]),
}
UNUSUAL = tuple(_RECIPES)
REAL = "real-film"


def long_to_encode(folder: Path) -> Path:
    """A film of 60 s that takes long enough to encode for early playback."""
    noise = ["-vf", "noise=alls=8:allf=t"]
    inputs = [picture("1280x720", LONG_SECONDS), sound(LONG_SECONDS)]
    return make(folder / "long.mp4", *inputs, codecs=[*noise, *X264, "-crf", "35", *AAC])


def with_languages(folder: Path) -> Path:
    """A film with English, German (default) and French sound, and with English and forced German text."""
    text = folder / "text.srt"
    first, last = "00:00:00,500 --> 00:00:02,000", "00:00:03,000 --> 00:00:07,000"
    text.write_text(f"1\n{first}\nfirst & <i>second</i>\n\n2\n{last}\nlast\n")
    tones = [word for _ in range(3) for word in _SOUND]
    tags = [word for number in (0, 1, 2, 3, 4, 4) for word in ("-map", str(number))]
    for track, language, flag in (
        *(("a:0", "eng", "0"), ("a:1", "ger", "default"), ("a:2", "fra", "0")),
        *(("s:0", "eng", "0"), ("s:1", "ger", "forced")),
    ):
        tags += [f"-metadata:s:{track}", f"language={language}", f"-disposition:{track}", flag]
    codecs = [*X264, *AAC, "-c:s", "copy", *tags]
    return make(folder / "languages.mkv", _PICTURE, tones, ["-i", str(text)], codecs=codecs)


def flac_with_cover(folder: Path) -> Path:
    """Sound alone, with a cover picture."""
    maps = ["-map", "0", "-map", "1", "-c:v", "png", "-frames:v", "1", "-disposition:v", "attached_pic"]
    return make(folder / "cover.flac", _SOUND, picture("300x200", 1), codecs=maps)


def sounds_with_languages(folder: Path) -> Path:
    """English and German sound, and no picture."""
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]
    return make(folder / "two.m4a", _SOUND, _SOUND, codecs=["-map", "0", "-map", "1", *AAC, *tags])


def film(name: str, folder: Path) -> Path:
    """Returns the path of the film; generates it unless it is the real film."""
    if name == REAL:
        return REAL_FILM
    suffix, inputs, codecs = _RECIPES[name]
    path = make(folder / f"{name}.{suffix}", *inputs, codecs=codecs)
    if name == "portrait-rotated":
        turned = path.with_stem("turned")
        ffmpeg("-display_rotation:v:0", "90", "-i", str(path), "-c", "copy", str(turned))
        return turned
    return path
