"""Decides which subtitles are published, and how playlists describe them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gostream_worker.object_names import text_folders
from gostream_worker.plan.track_names import name_of, unique_names
from gostream_worker.probe.model import Probe, SourceTrack

#: Published subtitles of one video.
MAX_TEXTS = 16
#: How text is taken out of a source, by ffmpeg's decoder: the container of the copy.
_COPIES: Mapping[str, str] = MappingProxyType(
    {
        "mov_text": "mp4",
        **dict.fromkeys(("srt", "subrip", "ass", "ssa", "text"), "matroska"),
    }
)
_ONLY_IN_MATROSKA = "webvtt"
SDH = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Published subtitles. `folder` is their folder below `v{n}/`; `container` that of their copy.

    `autoselect`: players may choose them for a viewer of their language.
    """

    index: int
    codec: str
    container: str
    folder: str
    name: str
    language: str | None = None
    is_forced: bool = False
    is_sdh: bool = False
    is_default: bool = False
    autoselect: bool = True

    @property
    def characteristics(self) -> str:
        return SDH if self.is_sdh else ""


def copy_container(track: SourceTrack, container: str) -> str | None:
    """Returns the container for a copy of a text track of a source; None if it is not published."""
    if track.codec == _ONLY_IN_MATROSKA and container == "matroska":
        return "matroska"
    return _COPIES.get(track.codec)


def plan_texts(probe: Probe) -> tuple[Text, ...]:
    """Returns the published subtitles in the source's order.

    None is the default, even if it is flagged: containers flag nearly every track, and a default is shown to
    viewers who asked for none.
    """
    tracks = [track for track in probe.tracks if track.kind == "subtitles"]
    tracks = [track for track in tracks if copy_container(track, probe.container)][:MAX_TEXTS]
    folders = text_folders([track.language for track in tracks])
    names = unique_names(map(name_of, tracks), usual="Subtitles")
    taken: set[object] = set()
    texts = []
    for track, folder, name in zip(tracks, folders, names, strict=True):
        choice = track.language, track.is_forced, track.is_sdh
        texts.append(
            Text(
                index=track.index,
                codec=track.codec,
                container=copy_container(track, probe.container) or "",
                folder=folder,
                name=name,
                language=track.language,
                is_forced=track.is_forced,
                is_sdh=track.is_sdh,
                autoselect=track.is_forced or choice not in taken,
            )
        )
        taken.add(choice)
    return tuple(texts)
