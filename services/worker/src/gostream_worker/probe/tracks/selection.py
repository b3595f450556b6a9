"""Selects the picture and the sound among tracks with packets. Runs in the probing child."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from time import monotonic
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet as AnyPacket
from av.stream import Discard, Disposition
from av.stream import Stream as AnyStream
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.sandbox.allowlist import AUDIO_DECODERS, VIDEO_DECODERS

Packet: TypeAlias = "AnyPacket[Any]"
Track: TypeAlias = VideoStream | AudioStream
#: Opens the source again.
OpenAgain = Callable[[], AbstractContextManager[InputContainer]]
#: Packets kept while a track has none; enough to tell a film from a still image.
_KEPT = 500
#: Limits of the search for a track's first packet: seconds, and bytes of a streamed source.
_LONGEST_LOOK = 10.0
_FARTHEST_LOOK = 48 << 20
#: Sounds besides the film's own that are described.
MAX_FURTHER = 7
#: Pictures that are not the film.
STILLS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
#: Sound in addition to the film's own, or an alternative to it.
_SECONDARY = (
    Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.comment
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.dependent
)
#: The same, by title.
_SECONDARY_TITLE = re.compile(r"\b(commentary|audio description|descriptive)\b", re.IGNORECASE)
_NO_TITLES = ("SoundHandler", "VideoHandler")


class FirstPackets:
    """The packets of all selectable tracks. Counts them, and keeps them for a decoder."""

    def __init__(self, container: InputContainer, *, is_indexed: bool) -> None:
        """`is_indexed`: a single table has the number of packets per track."""
        pictures = [track for track in container.streams.video if not track.disposition & STILLS]
        self.tracks: list[Track] = [*pictures, *container.streams.audio]
        self.container = container
        self._demuxed = container.demux(*self.tracks) if self.tracks else iter(())
        self._kept: list[Packet] = []
        self._counts: dict[int, int] = {}
        self._is_indexed = is_indexed

    def holding(self, open_again: OpenAgain, *, is_served: bool) -> Mapping[int, int]:
        """Returns the number of packets by track index, without empty tracks.

        Counts all packets if the container is indexed, else the first ones.
        """
        if self._is_indexed:
            return {track.index: track.frames for track in self.tracks if track.frames}
        # The number of packets of a picture matters only if there are several pictures.
        has_choice = sum(isinstance(track, VideoStream) for track in self.tracks) > 1
        for packet in self._demuxed:
            self._kept.append(packet)
            _count(packet, self._counts)
            if len(self._kept) >= _KEPT or (not has_choice and len(self._counts) == len(self.tracks)):
                break
        missing = {track.index for track in self.tracks} - self._counts.keys()
        if missing and len(self._kept) >= _KEPT:
            with open_again() as other:
                self._counts |= _count_all(other, missing, is_served=is_served)
        return self._counts

    def packets(self) -> Iterator[Packet]:
        """Yields packets from the first one on. Can be called once."""
        kept, self._kept = self._kept, []
        return chain(kept, self._demuxed)


def _count_all(container: InputContainer, missing: set[int], *, is_served: bool) -> dict[int, int]:
    """Searches for the first packet of each of these tracks."""
    for track in container.streams:
        if track.index not in missing:
            track.discard = Discard.all
    wanted = [
        track for track in (*container.streams.video, *container.streams.audio) if track.index in missing
    ]
    counts: dict[int, int] = {}
    try:
        for packet in _bounded(container.demux(*wanted), is_served=is_served):
            _count(packet, counts)
            if len(counts) == len(missing):
                break
    except MemoryError:
        raise
    except av.FFmpegError:
        pass  # unreadable tracks count as empty
    return counts


def _bounded(packets: Iterable[Packet], *, is_served: bool) -> Iterator[Packet]:
    deadline = monotonic() + _LONGEST_LOOK
    for packet in packets:
        yield packet
        if monotonic() > deadline or (is_served and (packet.pos or 0) > _FARTHEST_LOOK):
            return


def _count(packet: Packet, counts: dict[int, int]) -> None:
    if packet.size:
        counts[packet.stream_index] = counts.get(packet.stream_index, 0) + 1


def choose_video(container: InputContainer, holding: Mapping[int, int]) -> VideoStream | None:
    """Returns the picture with most pixels over time; among similar ones the default, else the first.

    None if the source has sound and at most still pictures. Raises ProcessingFailedError.
    """
    pictures = [track for track in container.streams.video if not track.disposition & STILLS]
    if not pictures and container.streams.audio:
        return None
    moving = [track for track in pictures if track.index in holding]
    if not moving:
        raise ProcessingFailedError(Code.NO_VIDEO_STREAM)
    known = [s for s in moving if s.codec_context is not None and s.codec_context.name in VIDEO_DECODERS]
    if not known:
        raise ProcessingFailedError(Code.UNSUPPORTED_CODEC, "picture")
    sizes = {track.index: _size(track, holding[track.index]) for track in known}
    alike = [track for track in known if sizes[track.index] * 2 >= max(sizes.values())]
    return next((s for s in alike if s.disposition & Disposition.default), alike[0])


def _size(track: VideoStream, packets: int) -> int:
    context = track.codec_context
    return packets * max(1, context.width * context.height)


def choose_audio(container: InputContainer, holding: Mapping[int, int]) -> AudioStream | None:
    """Returns the film's own sound: the container's default, else the first. None without sound.

    Raises ProcessingFailedError.
    """
    tracks = [track for track in container.streams.audio if track.index in holding]
    if not tracks:
        return None
    known = [s for s in tracks if s.codec_context is not None and s.codec_context.name in AUDIO_DECODERS]
    if not known:
        raise ProcessingFailedError(Code.UNSUPPORTED_CODEC, "sound")
    return min(known, key=lambda s: (_is_secondary(s), not s.disposition & Disposition.default))


def choose_further(
    container: InputContainer, holding: Mapping[int, int], own: AudioStream | None
) -> list[AudioStream]:
    """Returns the other sounds that can be decoded, in the container's order, at most MAX_FURTHER."""
    tracks = [s for s in container.streams.audio if s.index in holding and s is not own]
    known = [s for s in tracks if s.codec_context is not None and s.codec_context.name in AUDIO_DECODERS]
    return known[:MAX_FURTHER]


def titles_of(track: AnyStream) -> str:
    """Returns what the container calls the track."""
    titles = (track.metadata.get(name, "") for name in ("title", "handler_name", "name"))
    return " ".join(title for title in titles if title not in _NO_TITLES)


def _is_secondary(track: AudioStream) -> bool:
    return bool(track.disposition & _SECONDARY) or _SECONDARY_TITLE.search(titles_of(track)) is not None
