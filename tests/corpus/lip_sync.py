"""Films with a flash and a beep every two seconds, and how far apart these are."""

import re
from pathlib import Path

import av

from .media import AAC, X264, make, remux
from .pipeline import Outcome

_SIZE, _SECONDS = "96x64", 12
_BRIGHT, _LOUD, _QUIET = 128, 1600, 0.3
_RATE = 48_000


def _film(folder: Path) -> Path:
    flashes = "drawbox=c=white:t=fill:enable='lt(mod(t+0.001\\,2)\\,0.08)'"
    drawn = ["-f", "lavfi", "-i", f"color=black:size={_SIZE}:rate=25:duration={_SECONDS},{flashes}"]
    wave = "0.5*sin(2*PI*1000*t)*lt(mod(t\\,2)\\,0.08)"
    beeps = ["-f", "lavfi", "-i", f"aevalsrc='{wave}':s={_RATE}:d={_SECONDS}:c=stereo"]
    return make(folder / "film.mp4", drawn, beeps, codecs=[*X264, "-g", "50", "-bf", "2", *AAC])


def _with_gaps(folder: Path, name: str, packets: int, every: int) -> Path:
    """Drops `packets` of every `every` packets of the sound, outside of the beeps."""
    drop = f"noise=drop=lt(mod(n\\,{every})\\,{packets})*gt(n\\,30)"
    return remux(_film(folder), folder / name, "-bsf:a", drop)


def gaps_of_21_ms(folder: Path) -> Path:
    return _with_gaps(folder, "gaps.mp4", 1, 20)


def gaps_of_21_ms_in_matroska(folder: Path) -> Path:
    return _with_gaps(folder, "gaps.mkv", 1, 20)


def gaps_of_85_ms_in_matroska(folder: Path) -> Path:
    return _with_gaps(folder, "gaps.mkv", 4, 60)


def gaps_of_21_ms_in_a_stream(folder: Path) -> Path:
    return _with_gaps(folder, "gaps.ts", 1, 20)


def off_the_grid(folder: Path) -> Path:
    """In a transport stream the picture begins between two frames of the grid."""
    return remux(_film(folder), folder / "film.ts")


def without_edit_list(folder: Path) -> Path:
    return remux(_film(folder), folder / "plain.mp4", "-use_editlist", "0")


def copied(folder: Path) -> Path:
    return _film(folder)


def faster_stamps(folder: Path) -> Path:
    """The sound's timestamps run 1.5 % too fast."""
    return remux(_film(folder), folder / "fast.mkv", "-bsf:a", "setts=pts=PTS*0.985:dts=DTS*0.985")


def distances(picture: Path, sound: Path) -> list[float]:
    """Seconds from each flash to the nearest beep, by the timestamps."""
    beeps = _beeps(sound)
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes(picture)]


def published_distances(outcome: Outcome, folder: Path) -> list[float]:
    """The same of the smallest rung and the sound of a READY video."""
    lists = {name: data.decode() for name, data in outcome.published.items() if "/playlist" in name}
    rung = min((name for name in lists if "audio" not in name), key=lambda name: len(lists[name]))
    parts = []
    for number, name in enumerate((rung, next(name for name in lists if "/audio/" in name))):
        parent = name.rpartition("/")[0]
        segments = re.findall(r"^[^#\s]\S*$", lists[name], re.MULTILINE)
        path = folder / f"{number}.ts"
        path.write_bytes(b"".join(outcome.published[f"{parent}/{segment}"] for segment in segments))
        parts.append(path)
    return distances(*parts)


def flashes(path: Path) -> list[float]:
    found, was_dark = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.reformat(format="gray").planes[0]
            is_bright = bytes(plane)[plane.line_size * (plane.height // 2)] > _BRIGHT
            if is_bright and was_dark and frame.time is not None:
                found.append(float(frame.time))
            was_dark = not is_bright
    return found


def _beeps(path: Path) -> list[float]:
    found, last = list[float](), -1.0
    resampler = av.AudioResampler("s16", "mono", _RATE)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            now = float(frame.time or 0)
            for piece in resampler.resample(frame):
                for number, value in enumerate(memoryview(piece.planes[0]).cast("h")[: piece.samples]):
                    if abs(value) > _LOUD:
                        at = now + number / _RATE
                        if at - last > _QUIET:
                            found.append(at)
                        last = at
                now += piece.samples / _RATE
    return found
