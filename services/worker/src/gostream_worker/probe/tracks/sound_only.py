"""Probes a source without a picture. Runs in the probing child."""

from collections.abc import Mapping
from dataclasses import replace

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.describe import describe_audio
from gostream_worker.probe.model import AudioTrack, Probe
from gostream_worker.probe.signature import is_fragmented
from gostream_worker.probe.source_file import SourceFile
from gostream_worker.probe.timing.duration import Length, begins, last_packet, said_end, said_length
from gostream_worker.probe.tracks.listing import list_tracks
from gostream_worker.probe.tracks.selection import choose_audio, choose_further
from gostream_worker.sandbox.allowlist import VIDEO_DECODERS

#: libavformat's warning that the detected container is only a guess.
GUESS = "misdetection possible"
#: libavformat's warning that no header has the duration.
_ESTIMATE = "estimating duration from bitrate"


def inspect_sound(
    container: InputContainer, holding: Mapping[int, int], source: SourceFile, said: str
) -> Probe:
    """Returns the probe of a source whose only pictures, if any, are still ones.

    `said`: libavformat's warnings. Raises ProcessingFailedError.
    """
    if GUESS in said:  # MPEG audio has no header: a few bytes of other files resemble it
        raise ProcessingFailedError(Code.SOURCE_NOT_MEDIA, GUESS)
    audio = choose_audio(container, holding)
    if audio is None:
        raise ProcessingFailedError(Code.DURATION, "sound without packets")
    if not audio.codec_context.sample_rate:
        raise ProcessingFailedError(Code.CORRUPT_STREAM, "sound without a sample rate")
    is_estimated = _ESTIMATE in said.lower()
    length = _length(container, audio, source, is_estimated=is_estimated)
    return Probe(
        container=container.format.name.split(",")[0],
        duration=length.film,
        size_bytes=source.stored,
        video=None,
        audio=replace(_described(audio, container, source), ends=length.picture or length.film),
        further=tuple(
            replace(_described(other, container, source), ends=said_end(container, other))
            for other in choose_further(container, holding, audio)
        ),
        is_fragmented=is_fragmented(source.boxes),
        whole_bytes=None if source.size == source.stored else source.size,
        tracks=list_tracks(container, None, holding, source),
        cover=_cover(container),
        is_estimated=is_estimated and source.is_served,
    )


def _described(audio: AudioStream, container: InputContainer, source: SourceFile) -> AudioTrack:
    return replace(describe_audio(audio, source), begins=begins(container, audio))


def _length(
    container: InputContainer, audio: AudioStream, source: SourceFile, *, is_estimated: bool
) -> Length:
    """Returns the length by the packets of a local file. An estimate of the header says nothing about it."""
    said = said_length(container, [audio], is_fragmented=is_fragmented(source.boxes))
    if source.is_served and said.film > 0:
        return said
    try:
        found = last_packet(container, [audio], Length() if is_estimated else said)
    except av.FFmpegError:
        return said
    return found if found.film > 0 else said


def _cover(container: InputContainer) -> int | None:
    """Returns the first picture that is a cover of a format that can be decoded."""
    for track in container.streams.video:
        context = track.codec_context
        is_cover = bool(track.disposition & Disposition.attached_pic)
        if is_cover and context is not None and context.name in VIDEO_DECODERS:
            return track.index
    return None
