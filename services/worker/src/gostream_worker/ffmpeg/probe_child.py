"""The probing child: `python -m gostream_worker.ffmpeg.probe_child`, told by stdin, answers on stdout.

It is told a folder, which it goes to, and on the next line the source's URL. It answers `OK` and the probe as
JSON on the next line, or a failure's code and what it is about. Runs limited (gostream_worker.ffmpeg.process)
and starts fast: nothing but PyAV is imported, and only here.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg.allowed import (
    AUDIO_DECODERS,
    CONTAINERS,
    MAX_PIXELS,
    VIDEO_DECODERS,
    protocols,
)
from gostream_worker.ffmpeg.hollow import HollowFile
from gostream_worker.ffmpeg.length import Length, Track, begins, last_packet, read_length, said_length
from gostream_worker.ffmpeg.opening import open_bytes
from gostream_worker.ffmpeg.scan import base_rate, scan_tracks
from gostream_worker.ffmpeg.sniff import is_cut_off, is_fragmented, refused_by_signature
from gostream_worker.ffmpeg.source_file import SourceFile
from gostream_worker.ffmpeg.tail import Fragment, last_cluster
from gostream_worker.ffmpeg.turning import display_matrix, turn
from gostream_worker.media import AudioScan, AudioTrack, Probe, VideoScan, VideoTrack

_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS)),
    "max_pixels": str(MAX_PIXELS),
}
_Log = list[tuple[int, str, str]]
_SAMPLED_FRAMES = 12
_SAMPLED_PACKETS = 500
#: Codecs of broadcasts, in which interlaced pictures may follow a film. The filter asks every frame.
_BROADCAST = ("mpeg2video", "vc1")


def main() -> None:
    try:
        code, body = "OK", json.dumps(asdict(look_into(_told())), default=str)
    except ProcessingFailedError as error:
        code, body = error.code, error.detail
    except MemoryError:
        code, body = Code.RESOURCE_LIMIT, "out of memory"
    except av.FFmpegError as error:
        code, body = Code.CORRUPT_STREAM, str(error)[:200]
    sys.stdout.buffer.write(f"{code}\n{body}".encode())


def _told() -> str:
    """The URL. Waits for it, long after everything is imported."""
    folder, _, url = sys.stdin.read().rpartition("\n")
    try:
        os.chdir(folder)
    except OSError as error:
        raise ProcessingFailedError(Code.INTERNAL, f"the work directory: {error.strerror}") from error
    return url


def look_into(url: str) -> Probe:
    """Raises ProcessingFailedError with the reason why the source cannot be encoded."""
    av.logging.set_level(av.logging.WARNING)
    with open_bytes(url) as file, av.logging.Capture(local=False) as log:
        refused_by_signature(file.read(4096))
        source = SourceFile.of(url, file)
        with _open(source, log) as container:
            try:
                return _look(container, source, log)
            except ProcessingFailedError as error:
                if error.code is not Code.CORRUPT_STREAM or not container.format.name.startswith("mov"):
                    raise
        with _open(source, log, ignore_editlist="1") as container:
            return replace(_look(container, source, log, ignore_editlist="1"), ignores_edits=True)


def _look(container: InputContainer, source: SourceFile, log: _Log, **options: str) -> Probe:
    if is_cut_off(source.boxes, source.size):
        raise ProcessingFailedError(Code.TRUNCATED, "the container's last part is cut off")
    video = _choose_video(container)
    audio = _choose_audio(container)
    last = source.last_fragment(video.id)
    if last and last.is_cut:
        raise ProcessingFailedError(Code.TRUNCATED, "the last fragment is cut off")
    sample = _decode_sample(container, video, audio, log)
    length = _length(container, [video, *([audio] if audio else [])], source, last)
    rate = base_rate(container, video)
    pictures, sound = _scan(container, video, audio, source, options)
    return Probe(
        container=container.format.name.split(",")[0],
        duration=length.film,
        picture_ends=length.picture,
        longest_pause=length.longest_pause,
        size_bytes=source.size,
        video=replace(_video_track(video, sample, source), base_fps=rate, scan=pictures),
        audio=None
        if audio is None
        else replace(_audio_track(container, audio), ends=length.sound, scan=sound),
        is_fragmented=is_fragmented(source.boxes),
    )


def _open(source: SourceFile, log: _Log, **options: str) -> InputContainer:
    allowed = {"protocol_whitelist": ",".join(protocols(source.url))}
    if source.is_served and is_fragmented(source.boxes):
        allowed["fflags"] = "+ignidx"  # else all fragments are looked for
    try:
        return av.open(source.url, options=_OPTIONS | allowed | options)
    except MemoryError:
        raise  # is an FFmpegError too, but says nothing of the file
    except av.FFmpegError as error:
        said = _said(log)
        if "not on whitelist" in said and "misdetection possible" not in said:
            raise ProcessingFailedError(Code.UNSUPPORTED_CONTAINER, said[:200]) from error
        if "moov atom not found" in said and is_cut_off(source.boxes, source.size):
            raise ProcessingFailedError(Code.TRUNCATED, "no index") from error
        raise ProcessingFailedError(Code.SOURCE_NOT_MEDIA, str(error)[:200]) from error


def _said(log: _Log) -> str:
    return " ".join(message for _, _, message in log)


def _choose_video(container: InputContainer) -> VideoStream:
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise ProcessingFailedError(Code.NO_VIDEO_STREAM)
    return next((s for s in moving if s.disposition & Disposition.default), moving[0])


def _choose_audio(container: InputContainer) -> AudioStream | None:
    tracks = container.streams.audio
    if not tracks:
        return None
    known = [s for s in tracks if s.codec_context is not None and s.codec_context.name in AUDIO_DECODERS]
    if not known:
        raise ProcessingFailedError(Code.UNSUPPORTED_CODEC, "sound")
    return next((s for s in known if s.disposition & Disposition.default), known[0])


def _decode_sample(
    container: InputContainer, video: VideoStream, audio: AudioStream | None, log: _Log
) -> list[VideoFrame]:
    """The first pictures: only they know whether they are interlaced and how they are turned.

    Where sound may be encrypted by itself it is looked at too.
    """
    if video.codec_context is None or video.codec_context.name not in VIDEO_DECODERS:
        raise ProcessingFailedError(Code.UNSUPPORTED_CODEC, "picture")
    looks = [video, audio] if audio and container.format.name.startswith("mov") else [video]
    unseen = {track.index for track in looks}
    frames: list[VideoFrame] = []
    failure: Exception | None = None
    for number, packet in enumerate(container.demux(*looks)):
        if packet.has_sidedata("encryption_info"):
            raise ProcessingFailedError(Code.ENCRYPTED_SOURCE)
        unseen.discard(packet.stream_index)
        try:
            if len(frames) < _SAMPLED_FRAMES and packet.stream is video:
                frames += [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
        except MemoryError:
            raise
        except av.FFmpegError as error:
            failure = error
        is_enough = len(frames) >= _SAMPLED_FRAMES and not unseen
        if is_enough or (number >= _SAMPLED_PACKETS and video.index not in unseen):
            break
    if not frames:
        frames = _kept_back(video.codec_context)
    if not frames:
        code = Code.DIMENSIONS if "max pixel count" in _said(log) else Code.CORRUPT_STREAM
        raise ProcessingFailedError(code, str(failure)[:200])
    return frames


def _kept_back(decoder: VideoCodecContext) -> list[VideoFrame]:
    """What a decoder of fewer pictures than it wants to see has not shown."""
    try:
        return decoder.decode(None)
    except MemoryError:
        raise
    except av.FFmpegError:
        return []


def _scan(
    container: InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    source: SourceFile,
    options: dict[str, str],
) -> tuple[VideoScan | None, AudioScan | None]:
    """All packets of a file; of what is served only what a table says of them, where there is one."""
    if not source.is_served:
        return scan_tracks(container, video, audio)
    hollow = HollowFile.of(source.file, source.size, source.boxes)
    if hollow is None:
        return None, None
    # A parser would take zeros for pictures that are no key frames.
    options = {**_OPTIONS, **options, "fflags": "+noparse"}
    try:
        with av.open(hollow, mode="r", options=options) as other:
            picture = next(track for track in other.streams.video if track.index == video.index)
            sound = next((s for s in other.streams.audio if audio and s.index == audio.index), None)
            return scan_tracks(other, picture, sound, look=hollow.look)
    except av.FFmpegError:
        return None, None


def _length(
    container: InputContainer, tracks: Sequence[Track], source: SourceFile, last: Fragment | None
) -> Length:
    """Read from the packets when no header says it, as in what browsers record."""
    fragmented = is_fragmented(source.boxes)
    said = said_length(container, tracks, is_fragmented=fragmented)
    if not source.is_served:
        return read_length(container, tracks, said)
    if said.film > 0 and not fragmented:
        return said
    begins = _last_piece(container, tracks[0], source, last)
    return Length(begins) if begins else last_packet(container, tracks)


def _last_piece(
    container: InputContainer, video: Track, source: SourceFile, last: Fragment | None
) -> float | None:
    """When it begins: a little before the end."""
    is_recording = container.format.name.startswith("matroska")
    time = last.time if last else last_cluster(source.tail()) if is_recording else None
    if time is None or video.time_base is None:
        return None
    seconds = float((time - (video.start_time or 0)) * video.time_base)
    return seconds if seconds > 0 else None


def _video_track(video: VideoStream, sample: list[VideoFrame], source: SourceFile) -> VideoTrack:
    first = sample[0]
    whole = first.width, first.height
    width, height = source.cropped(video.id, whole)
    rotation, as_stored = turn(display_matrix(first))
    return VideoTrack(
        index=video.index,
        codec=video.codec_context.name,
        width=width,
        height=height,
        pixel_format=first.format.name,
        sample_aspect=video.sample_aspect_ratio or Fraction(1),
        rotation=rotation,
        average_fps=video.average_rate or Fraction(0),
        as_stored=as_stored and (width, height) == whole,
        interlaced=video.codec_context.name in _BROADCAST or any(frame.interlaced_frame for frame in sample),
        transfer=int(first.color_trc),
        matrix=int(first.colorspace),
    )


def _audio_track(container: InputContainer, audio: AudioStream) -> AudioTrack:
    return AudioTrack(
        index=audio.index,
        codec=audio.codec_context.name,
        channels=audio.codec_context.channels,
        sample_rate=audio.codec_context.sample_rate or 0,
        begins=begins(container, audio),
    )


if __name__ == "__main__":
    main()
