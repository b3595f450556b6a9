"""Trees of sound alone, whole and broken."""

from pathlib import Path

from .breaking import LOW, MASTER, SOUND, STILLS, TOP, Spoil, edit, removed, write
from .defects import Defect
from .trees import bandwidths, encode_audio

#: The encoder spends at most 270 kb/s on 48 kHz.
_NOISE = ("-af", "aeval=random(0)-0.5|random(1)-0.5", "-ar", "96000")
_QUIET = "v1/64k"
_STILL = f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,CODECS="avc1.64000d",URI="{STILLS}"\n'


def alone(
    *changes: Spoil,
    grouped: bool = False,
    rate: str = "128k",
    offset: str = "10",
    options: tuple[str, ...] = (),
) -> Spoil:
    """Makes a tree of sound at two rates, then breaks it. The lower rate begins at `offset`."""

    def spoil(tree: Path) -> None:
        for path in (TOP, LOW, SOUND, "v1/storyboard.vtt", "v1/storyboard.jpg"):
            removed(path)(tree)
        encode_audio(tree / SOUND, rate=rate, options=options)
        encode_audio(tree / _QUIET, rate="64k", offset=offset)
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
        for folder in (SOUND, _QUIET):
            peak, average = bandwidths(tree / folder)
            group = f',AUDIO="{folder}"' if grouped else ""
            if grouped:
                lines.append(
                    f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{folder}",NAME="Main",DEFAULT=YES,AUTOSELECT=YES,'
                    f'URI="{folder}/playlist.m3u8"'
                )
            figures = f'BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS="mp4a.40.2"{group}'
            lines += [f"#EXT-X-STREAM-INF:{figures}", f"{folder}/playlist.m3u8"]
        write(tree / MASTER, "\n".join([*lines, ""]))
        for change in changes:
            change(tree)

    return spoil


def _in_master(old: str, new: str) -> Spoil:
    return edit(MASTER, old, new)


SOUND_LEGAL = {
    "sound alone": alone(),
    "sound alone with groups": alone(grouped=True),
    "256 kb/s of sound alone": alone(rate="256k"),
}
SOUND_DEFECTS = [
    Defect(
        "a size of sound", "sounds.attributes", alone(_in_master("BANDWIDTH=", "RESOLUTION=2x2,BANDWIDTH="))
    ),
    Defect(
        "a frame rate of sound",
        "sounds.attributes",
        alone(_in_master("BANDWIDTH=", "FRAME-RATE=25,BANDWIDTH=")),
    ),
    Defect(
        "stills of sound",
        "sounds.no-pictures",
        alone(_in_master("#EXT-X-STREAM-INF", f"{_STILL}#EXT-X-STREAM-INF")),
        frozenset({"master.uris-answer"}),
    ),
    Defect(
        "a storyboard of sound",
        "sounds.no-pictures",
        alone(lambda tree: write(tree / "v1/storyboard.vtt", "WEBVTT\n")),
        frozenset({"storyboard.covers"}),
    ),
    Defect("one rate 67 ms late", "sounds.in-step", alone(offset="10.067")),
    Defect("500 kb/s of sound alone", "segments.aac", alone(rate="500k", options=_NOISE)),
]
