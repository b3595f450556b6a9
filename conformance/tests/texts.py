"""Trees with subtitles and several languages, whole and broken."""

from pathlib import Path

from .breaking import MASTER, SOUND, Spoil, before_sound, edit, write
from .defects import Defect

_SUBS = "v1/subs"
_PARTS = ((0, 6, "00:00:00.500 --> 00:00:07.000"), (6, 6, "00:00:00.500 --> 00:00:07.000"), (12, 2, None))


def subtitled(*changes: Spoil, more: str = "", groups: tuple[str, ...] = ("subs", "subs")) -> Spoil:
    """Adds one language of subtitles, then breaks it."""

    def spoil(tree: Path) -> None:
        (tree / _SUBS).mkdir()
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:6", "#EXT-X-PLAYLIST-TYPE:VOD"]
        for number, (_, seconds, cue) in enumerate(_PARTS):
            text = f"{cue}\nshown &amp; read\n" if cue else ""
            head = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
            write(tree / _SUBS / f"{number}.vtt", head + text)
            lines += [f"#EXTINF:{seconds},", f"{number}.vtt"]
        write(tree / _SUBS / "list.m3u8", "\n".join([*lines, "#EXT-X-ENDLIST", ""]))
        before_sound(
            '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",LANGUAGE="en",NAME="English",AUTOSELECT=YES,'
            f'URI="{_SUBS}/list.m3u8"{more}'
        )(tree)
        head, *parts = (tree / MASTER).read_text().split("#EXT-X-STREAM-INF:")
        named = [f'SUBTITLES="{group}",' if group else "" for group in groups]
        streams = [f"#EXT-X-STREAM-INF:{name}{part}" for name, part in zip(named, parts, strict=True)]
        write(tree / MASTER, "".join([head, *streams]))
        for change in changes:
            change(tree)

    return spoil


def _in_first(old: str, new: str) -> Spoil:
    return edit(f"{_SUBS}/0.vtt", old, new)


def second_sound(said: str) -> Spoil:
    line = f'#EXT-X-MEDIA:TYPE=AUDIO,{said},URI="{SOUND}/playlist.m3u8"'
    return before_sound(line)


def _uneven_groups(tree: Path) -> None:
    """The last variant has its own group, with one language fewer."""
    second_sound('GROUP-ID="low",NAME="Main",DEFAULT=YES,AUTOSELECT=YES')(tree)
    second_sound('GROUP-ID="aac",LANGUAGE="de",NAME="Deutsch",AUTOSELECT=YES')(tree)
    write(tree / MASTER, "low".join((tree / MASTER).read_text().rsplit("aac", 1)))


def _on_another_clock(tree: Path) -> None:
    for number in range(len(_PARTS)):
        later = "00:00:01.000,MPEGTS:990000"
        edit(f"{_SUBS}/{number}.vtt", "00:00:00.000,MPEGTS:900000", later)(tree)


_FORCED = 'TYPE=SUBTITLES,GROUP-ID="subs",LANGUAGE="en",NAME="Forced",AUTOSELECT=YES,FORCED=YES'
TEXT_LEGAL = {
    "subtitles": subtitled(),
    "subtitles of another clock": subtitled(_on_another_clock),
    "forced subtitles": subtitled(more=f'\n#EXT-X-MEDIA:{_FORCED},URI="{_SUBS}/list.m3u8"'),
    "another language": second_sound('GROUP-ID="aac",LANGUAGE="de",NAME="Deutsch",AUTOSELECT=YES'),
}
TEXT_DEFECTS = [
    Defect(
        "a language in words",
        "renditions.language",
        edit(MASTER, 'NAME="Main"', 'NAME="Main",LANGUAGE="Old German"'),
    ),
    Defect("forced sound", "renditions.forced", edit(MASTER, 'NAME="Main"', 'NAME="Main",FORCED=YES')),
    Defect(
        "forced subtitles that no player selects",
        "renditions.forced",
        subtitled(edit(MASTER, 'NAME="English",AUTOSELECT=YES', 'NAME="English",FORCED=YES')),
    ),
    Defect("a group without the second language", "renditions.same-members", _uneven_groups),
    Defect(
        "two sounds that look the same to players",
        "renditions.distinct",
        second_sound('GROUP-ID="aac",NAME="Other",AUTOSELECT=YES'),
    ),
    Defect("subtitles in one variant", "renditions.every-variant", subtitled(groups=("subs", ""))),
    Defect("subtitles of another format", "text.parses", subtitled(_in_first("WEBVTT", "1"))),
    Defect("half of a map", "text.parses", subtitled(_in_first("LOCAL:00:00:00.000,", ""))),
    Defect("an arrow in the text", "text.parses", subtitled(_in_first("shown &amp;", "shown -->"))),
    Defect("subtitles 10 s early", "text.timestamp-map", subtitled(_in_first("MPEGTS:900000", "MPEGTS:0"))),
    Defect("no map", "text.timestamp-map", subtitled(_in_first("X-TIMESTAMP-MAP", "NOTE"))),
    Defect("a cue of a later segment", "text.cues", subtitled(_in_first("00:00:00.500", "00:00:06.500"))),
    Defect("a cue that ends first", "text.cues", subtitled(_in_first("00:00:07.000", "00:00:00.400"))),
    Defect(
        "subtitles of half the film",
        "text.length",
        subtitled(edit(f"{_SUBS}/list.m3u8", "#EXTINF:6,\n1.vtt\n", "")),
    ),
]
