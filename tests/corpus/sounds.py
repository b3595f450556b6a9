"""Sound in channel orders, codecs and tracks that a careless encoder does not expect."""

import struct
from pathlib import Path

from .boxes import insert
from .media import AAC, X264, make, picture, remux, written

_TINY = "96x64"
#: kAudioChannelLayoutTag_MPEG_5_1_C and _D: film order, and the centre first.
_L_C_R, _C_L_R = 123 << 16 | 6, 124 << 16 | 6
#: kAudioChannelLabel: Left, Right, Center, LFEScreen, LeftSurround, RightSurround.
_LEFT, _RIGHT, _CENTRE, _LFE, _SURROUND_LEFT, _SURROUND_RIGHT = 1, 2, 3, 4, 5, 6


def _channels(*tones: str, seconds: float = 1, rate: int = 48000) -> list[str]:
    """A tone in each channel that has one (Hz), and silence in the others ("")."""
    waves = "|".join(f"0.4*sin({tone}*2*PI*t)" if tone else "0" for tone in tones)
    return ["-f", "lavfi", "-i", f"aevalsrc={waves}:sample_rate={rate}:duration={seconds}"]


def _with_order(folder: Path, tones: list[str], box: bytes) -> Path:
    """Six channels in a MOV file, in the order that `chan` declares."""
    codecs = ["-af", "aformat=channel_layouts=5.1", *X264, "-c:a", "pcm_s16le"]
    inputs = [picture(_TINY, 1), _channels(*tones, rate=8000)]
    data = make(folder / "usual.mov", *inputs, codecs=codecs).read_bytes()
    at = data.rindex(b"chan") - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    without = bytearray(insert(data, end, box))
    without[at + 4 : at + 8] = b"free"
    return written(folder / "order.mov", bytes(without))


def _layout(tag: int, *labels: int) -> bytes:
    described = b"".join(struct.pack(">II12x", label, 0) for label in labels)
    content = struct.pack(">IIII", 0, tag, 0, len(labels)) + described
    return struct.pack(">I4s", 8 + len(content), b"chan") + content


def film_order(folder: Path) -> Path:
    """L C R Ls Rs LFE, as films are delivered: only the centre is heard."""
    return _with_order(folder, ["", "440", "", "", "", ""], _layout(_L_C_R))


def centre_first(folder: Path) -> Path:
    return _with_order(folder, ["440", "", "", "", "", ""], _layout(_C_L_R))


def described_order(folder: Path) -> Path:
    """Each channel has a label; the centre is the last one."""
    labels = (_SURROUND_RIGHT, _SURROUND_LEFT, _LFE, _RIGHT, _LEFT, _CENTRE)
    return _with_order(folder, ["", "", "", "", "", "440"], _layout(0, *labels))


def discrete_order(folder: Path) -> Path:
    """Channels without places: kAudioChannelLabel_Discrete_0 and so on."""
    labels = [1 << 16 | number for number in range(6)]
    return _with_order(folder, ["440"] * 6, _layout(0, *labels))


def _opus(folder: Path, sound: list[str], *options: str) -> Path:
    codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", *options]
    return make(folder / "opus.webm", picture(_TINY, 1), sound, codecs=codecs)


def ambisonic_opus(folder: Path) -> Path:
    """Four channels of the first order; only W, which has no direction, is heard."""
    order = "channelmap=0|1|2|3:channel_layout=ambisonic 1"
    return _opus(folder, _channels("440", "", "", ""), "-af", order, "-mapping_family", "2")


def ambisonic_opus_with_stereo(folder: Path) -> Path:
    """Two channels that do not turn with the head follow the four."""
    order = "channelmap=0|1|2|3|4|5:channel_layout=ambisonic 1+stereo"
    return _opus(folder, _channels("", "", "", "", "440", "440"), "-af", order, "-mapping_family", "2")


def opus_of_no_family(folder: Path) -> Path:
    """Mapping family 255: nothing says which channel is which."""
    return _opus(folder, _channels(*["440"] * 6), "-mapping_family", "255")


def opus_with_pauses(folder: Path) -> Path:
    """Discontinuous transmission: no packets in silence."""
    speech = "aevalsrc=if(between(t\\,0.5\\,1.5)\\,0\\,0.4*sin(440*2*PI*t)):s=48000:d=2"
    codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "-application", "voip"]
    inputs = [picture(_TINY), ["-f", "lavfi", "-i", speech]]
    whole = make(folder / "whole.webm", *inputs, codecs=[*codecs, "-dtx", "1"])
    return remux(whole, folder / "pauses.webm", "-bsf:a", "noise=drop=lt(size\\,4)")


def latm(folder: Path) -> Path:
    """AAC as broadcasters in some countries frame it."""
    options = ["-mpegts_flags", "latm"]
    return make(
        folder / "latm.ts", picture(_TINY, 1), _channels("440", "440"), codecs=[*X264, *AAC, *options]
    )


def twenty_four_channels(folder: Path) -> Path:
    """22.2: three rings of loudspeakers."""
    codecs = ["-af", "aformat=channel_layouts=22.2", *X264, "-c:a", "pcm_s16le"]
    tones = ["440" if number == 2 else "" for number in range(24)]
    return make(folder / "many.mov", picture(_TINY, 1), _channels(*tones, rate=8000), codecs=codecs)


def _with_unknown(folder: Path, which: int) -> Path:
    """One of two tracks is in a codec that nothing here knows, as telephones add it (APAC)."""
    sounds = [_channels("440", "440"), _channels("440", "440")]
    tracks = ["-map", "0", "-map", "1", "-map", "2", *X264, *AAC]
    data = bytearray(make(folder / "two.mov", picture(_TINY, 1), *sounds, codecs=tracks).read_bytes())
    at = data.index(b"mp4a")
    places = [at, data.index(b"mp4a", data.index(b"trak", at))]
    data[places[which] : places[which] + 4] = b"apac"
    return written(folder / "unknown.mov", bytes(data))


def unknown_sound_first(folder: Path) -> Path:
    return _with_unknown(folder, 0)


def unknown_sound_second(folder: Path) -> Path:
    return _with_unknown(folder, 1)


def _in_language(folder: Path, name: str, language: str) -> Path:
    codecs = [*X264, *AAC, "-metadata:s:a:0", f"language={language}"]
    return make(folder / name, picture(_TINY, 1), _channels("440", "440"), codecs=codecs)


def german_mp4(folder: Path) -> Path:
    return _in_language(folder, "film.mp4", "ger")


def german_mkv(folder: Path) -> Path:
    return _in_language(folder, "film.mkv", "deu")


def german_ts(folder: Path) -> Path:
    return _in_language(folder, "film.ts", "deu")


def undetermined_mkv(folder: Path) -> Path:
    return _in_language(folder, "film.mkv", "und")
