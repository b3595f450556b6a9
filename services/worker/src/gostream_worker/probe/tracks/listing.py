"""Lists every track of a source besides the chosen picture. Runs in the probing child."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.stream import Stream as AnyStream
from av.video.stream import VideoStream

from gostream_worker.probe.container_facts import spatial_box
from gostream_worker.probe.model import SourceTrack
from gostream_worker.probe.source_file import SourceFile
from gostream_worker.probe.tracks.channels import read_channels
from gostream_worker.probe.tracks.languages import language_tag
from gostream_worker.probe.tracks.selection import STILLS, titles_of

_LONGEST_TITLE = 64
_FORCED = re.compile(r"\bforced\b", re.IGNORECASE)
_SDH = re.compile(r"\b(sdh|cc|hearing impaired|hard of hearing)\b", re.IGNORECASE)
_DESCRIPTION = re.compile(r"\b(audio description|descriptive)\b", re.IGNORECASE)
_COMMENTARY = re.compile(r"\bcommentary\b", re.IGNORECASE)
_DESCRIBES = Disposition.visual_impaired | Disposition.descriptions
_KINDS: Mapping[str, Literal["audio", "subtitles", "video"]] = {
    "audio": "audio",
    "subtitle": "subtitles",
    "video": "video",
}


def list_tracks(
    container: InputContainer, video: VideoStream | None, holding: Mapping[int, int], source: SourceFile
) -> tuple[SourceTrack, ...]:
    """Returns all sounds, subtitles and moving pictures except `video`, and the chapters.

    `holding`: the number of packets of sounds and pictures, without empty ones. Cover pictures, attachments
    and data such as time codes are not listed.
    """
    return tuple(_tracks(container, video, holding, source))


def _tracks(
    container: InputContainer, video: VideoStream | None, holding: Mapping[int, int], source: SourceFile
) -> Iterator[SourceTrack]:
    chosen = None if video is None else video.index
    for stream in container.streams:
        kind = _KINDS.get(stream.type)
        if kind is None or stream.index == chosen or (kind == "video" and stream.disposition & STILLS):
            continue
        said, flags = titles_of(stream), stream.disposition
        yield SourceTrack(
            index=stream.index,
            kind=kind,
            codec=stream.codec_context.name if stream.codec_context is not None else "",
            language=language_tag(stream.metadata.get("language", "")),
            title=_printable(stream.metadata.get("title") or stream.metadata.get("name", "")),
            is_forced=bool(flags & Disposition.forced) or _FORCED.search(said) is not None,
            is_sdh=bool(flags & Disposition.hearing_impaired) or _SDH.search(said) is not None,
            is_default=bool(flags & Disposition.default),
            describes_video=bool(flags & _DESCRIBES) or _DESCRIPTION.search(said) is not None,
            is_commentary=bool(flags & Disposition.comment) or _COMMENTARY.search(said) is not None,
            channels=_channels(stream, source),
            is_empty=kind != "subtitles" and stream.index not in holding,
        )
    if container.chapters():
        yield SourceTrack(index=-1, kind="chapters")


def _channels(stream: AnyStream, source: SourceFile) -> int:
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return 0
    context = stream.codec_context
    return read_channels(context.name, context.extradata or b"", spatial_box(stream, source)).count


def _printable(title: str) -> str:
    """Returns a title for a playlist: one line, without quotes and control characters."""
    words = "".join(letter if letter.isprintable() and letter != '"' else " " for letter in title).split()
    return " ".join(words)[:_LONGEST_TITLE].rstrip()
