"""The probing child: `python -m gostream_worker.probe.child`, with its task on stdin.

Four lines of stdin: `required` or `best-effort` for the sandbox, seconds for reading a streamed broadcast to
its end (0: never), the working directory, the source's URL. The answer on stdout is `OK` and the probe as
JSON on the next line, or a failure code and its details. It runs limited and starts fast: its only large
import is PyAV, which only the child imports.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.byte_source import open_bytes
from gostream_worker.probe.container_facts import picture_facts
from gostream_worker.probe.describe import container_colours, describe_audio, describe_video
from gostream_worker.probe.model import AudioScan, AudioTrack, Probe, VideoScan
from gostream_worker.probe.mp4.sparse_file import SparseMp4
from gostream_worker.probe.signature import is_cut_off, is_fragmented, is_text, refused_by_signature
from gostream_worker.probe.source_file import SourceFile
from gostream_worker.probe.timing.duration import (
    Length,
    Track,
    begins,
    last_packet,
    read_length,
    said_end,
    said_length,
)
from gostream_worker.probe.timing.last_fragment import Fragment, last_cluster
from gostream_worker.probe.timing.packet_scan import base_rate, scan_tracks
from gostream_worker.probe.timing.seeking import seek_gap
from gostream_worker.probe.tracks.frame_samples import Sample, decode_sample
from gostream_worker.probe.tracks.listing import list_tracks
from gostream_worker.probe.tracks.selection import FirstPackets, choose_audio, choose_further, choose_video
from gostream_worker.probe.tracks.sound_only import GUESS, inspect_sound
from gostream_worker.sandbox.allowlist import (
    AUDIO_DECODERS,
    CONTAINERS,
    MAX_PIXELS,
    VIDEO_DECODERS,
    loopback_port,
    protocols,
)
from gostream_worker.sandbox.confinement import Confinement, SandboxMissingError, interpreter_paths

_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS)),
    "max_pixels": str(MAX_PIXELS),
}
_NOTHING_FOUND = (Code.CORRUPT_STREAM, Code.NO_VIDEO_STREAM, Code.UNSUPPORTED_CODEC)
_Log = list[tuple[int, str, str]]


def main() -> None:
    try:
        code, body = "OK", json.dumps(asdict(inspect(*_read_task())), default=str)
    except ProcessingFailedError as error:
        code, body = error.code, error.detail
    except MemoryError:
        code, body = Code.RESOURCE_LIMIT, "out of memory"
    except (ConnectionError, TimeoutError, av.error.HTTPError) as error:
        code, body = Code.INTERNAL, str(error)[:200]  # the worker itself serves the source
    except av.FFmpegError as error:
        code, body = Code.CORRUPT_STREAM, str(error)[:200]
    sys.stdout.buffer.write(f"{code}\n{body}".encode())


def _read_task() -> tuple[str, float]:
    """Reads the task from stdin. Returns the URL, and seconds for reading it.

    Waits until the task arrives, after all imports.
    """
    sandbox, patience, rest = sys.stdin.read().split("\n", 2)
    folder, _, url = rest.rpartition("\n")
    try:
        os.chdir(folder)
    except OSError as error:
        raise ProcessingFailedError(Code.INTERNAL, f"the work directory: {error.strerror}") from error
    _confine(folder, url, required=sandbox == "required")
    return url, float(patience)


def _confine(folder: str, url: str, *, required: bool) -> None:
    """Confines this process to the source. PyAV starts no threads on import."""
    confinement = Confinement(read=(*interpreter_paths(), folder), port=loopback_port(url), required=required)
    try:
        confinement.enter()
    except (SandboxMissingError, OSError) as error:
        raise ProcessingFailedError(Code.INTERNAL, f"sandbox: {error}") from error


def inspect(url: str, patience: float = 0.0) -> Probe:
    """Probes the source. Raises ProcessingFailedError if it cannot be encoded."""
    av.logging.set_level(av.logging.WARNING)
    with open_bytes(url) as file, av.logging.Capture(local=False) as log:
        refused_by_signature(file.read(4096))
        source = SourceFile.of(url, file, patience=patience)
        with _open(source, log) as container:
            try:
                return _inspect(container, source, log)
            except ProcessingFailedError as error:
                if error.code in _NOTHING_FOUND and GUESS in _messages(log):
                    raise ProcessingFailedError(Code.SOURCE_NOT_MEDIA, error.detail) from error
                if error.code is not Code.CORRUPT_STREAM or not container.format.name.startswith("mov"):
                    raise
        with _open(source, log, ignore_editlist="1") as container:
            return replace(_inspect(container, source, log, ignore_editlist="1"), ignores_edits=True)


def _inspect(container: InputContainer, source: SourceFile, log: _Log, **options: str) -> Probe:
    if is_cut_off(source.boxes, source.size):
        raise ProcessingFailedError(Code.TRUNCATED, "the container's last part is cut off")
    first = FirstPackets(container, is_indexed=bool(source.boxes) and not is_fragmented(source.boxes))
    holding = first.holding(lambda: _open(source, log, **options), is_served=source.is_served)
    video = choose_video(container, holding)
    if video is None:
        return inspect_sound(container, holding, source, _messages(log))
    audio = choose_audio(container, holding)
    further = choose_further(container, holding, audio)
    last = source.last_fragment(video.id)
    said = container_colours(video)
    sample = _sample(container, first, video, audio, source, log)
    facts = picture_facts(container, video, source, sample.size)
    length = _length(container, [video, *([audio] if audio else [])], source, last)
    rate = base_rate(container, video)
    pictures, sounds = _scan(container, video, [*([audio] if audio else []), *further], source, options)
    return Probe(
        container=container.format.name.split(",")[0],
        duration=length.film,
        picture_ends=length.picture,
        longest_pause=length.longest_pause,
        size_bytes=source.stored,
        video=replace(
            describe_video(video, sample, facts, said),
            base_fps=rate,
            begins=begins(container, video),
            scan=pictures,
            seek_gap=seek_gap(container, video, source, said=length.key_gap),
        ),
        audio=None
        if audio is None
        else replace(_described(audio, container, source, sounds), ends=length.sound),
        further=tuple(
            replace(_described(other, container, source, sounds), ends=said_end(container, other))
            for other in further
        ),
        is_fragmented=is_fragmented(source.boxes),
        whole_bytes=None if source.size == source.stored else source.size,
        tracks=list_tracks(container, video, holding, source),
    )


def _described(
    audio: AudioStream, container: InputContainer, source: SourceFile, scans: Mapping[int, AudioScan]
) -> AudioTrack:
    return replace(
        describe_audio(audio, source), begins=begins(container, audio), scan=scans.get(audio.index)
    )


def _sample(
    container: InputContainer,
    first: FirstPackets,
    video: VideoStream,
    audio: AudioStream | None,
    source: SourceFile,
    log: _Log,
) -> Sample:
    """Decodes the first pictures. Reads sound too if it may be encrypted separately."""
    heard = audio if container.format.name.startswith("mov") else None
    video.codec_context.flags |= CodecFlags.unaligned
    try:
        return decode_sample(first.packets(), video, heard, is_served=source.is_served)
    except ProcessingFailedError as error:
        if error.code is Code.CORRUPT_STREAM and "max pixel count" in _messages(log):
            raise ProcessingFailedError(Code.DIMENSIONS, error.detail) from error
        raise


def _open(source: SourceFile, log: _Log, **options: str) -> InputContainer:
    is_part = source.size != source.stored
    allowed = {"protocol_whitelist": ",".join(protocols(source.url, is_part=is_part))}
    if source.is_served and is_fragmented(source.boxes):
        allowed["fflags"] = "+ignidx"  # otherwise all fragments are searched
    try:
        # Titles in encodings other than UTF-8 are not damage.
        return av.open(source.readable, options=_OPTIONS | allowed | options, metadata_errors="replace")
    except MemoryError:
        raise  # also an FFmpegError, but unrelated to the file
    except av.FFmpegError as error:
        said = _messages(log)
        is_guess = GUESS in said or is_text(source.head())
        if "not on whitelist" in said and not is_guess:
            raise ProcessingFailedError(Code.UNSUPPORTED_CONTAINER, said[:200]) from error
        if "moov atom not found" in said and is_cut_off(source.boxes, source.size):
            raise ProcessingFailedError(Code.TRUNCATED, "no index") from error
        raise ProcessingFailedError(Code.SOURCE_NOT_MEDIA, str(error)[:200]) from error


def _messages(log: _Log) -> str:
    return " ".join(message for _, _, message in log)


def _scan(
    container: InputContainer,
    video: VideoStream,
    audios: Sequence[AudioStream],
    source: SourceFile,
    options: dict[str, str],
) -> tuple[VideoScan | None, Mapping[int, AudioScan]]:
    """Scans all packets of a local file. Of a served source it reads only the index, if it is one table."""
    if not source.is_served:
        return scan_tracks(container, video, audios)
    sparse = SparseMp4.of(source.file, source.size, source.boxes)
    if sparse is None:
        return None, {}
    # A parser would treat zeros as pictures that are not key frames.
    options = {**_OPTIONS, **options, "fflags": "+noparse"}
    try:
        with av.open(sparse, mode="r", options=options, metadata_errors="replace") as other:
            picture = next(track for track in other.streams.video if track.index == video.index)
            wanted = {audio.index for audio in audios}
            sounds = [track for track in other.streams.audio if track.index in wanted]
            return scan_tracks(other, picture, sounds, look=sparse.peek)
    except av.FFmpegError:
        return None, {}


def _length(
    container: InputContainer, tracks: Sequence[Track], source: SourceFile, last: Fragment | None
) -> Length:
    """Reads the duration from packets if no header has it, as in browser recordings."""
    fragmented = is_fragmented(source.boxes)
    said = said_length(container, tracks, is_fragmented=fragmented)
    if not source.is_served:
        return read_length(container, tracks, said)
    if source.patience and Flags.ts_discont in Flags(container.format.flags):
        return read_length(container, tracks, said, patience=source.patience)
    if said.film > 0 and not fragmented:
        return said
    begins = _last_piece(container, tracks[0], source, last)
    return Length(begins) if begins else last_packet(container, tracks)


def _last_piece(
    container: InputContainer, video: Track, source: SourceFile, last: Fragment | None
) -> float | None:
    """Returns when the last fragment or cluster begins, which is shortly before the end."""
    is_recording = container.format.name.startswith("matroska")
    time = last.time if last else last_cluster(source.tail()) if is_recording else None
    if time is None or video.time_base is None:
        return None
    seconds = float((time - (video.start_time or 0)) * video.time_base)
    return seconds if seconds > 0 else None


if __name__ == "__main__":
    main()
