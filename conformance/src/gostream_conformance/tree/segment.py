"""Measures a segment in one pass: the figures that playlists and rules need, in a few hundred bytes."""

from collections.abc import Iterator

from gostream_conformance.errors import AudioError, VideoError
from gostream_conformance.formats.aac import AacConfig, adts_frames
from gostream_conformance.formats.h264 import IDR, SLICE, nal_units
from gostream_conformance.formats.mpegts import AAC, H264, Pes, Stream, demux, ticks_between
from gostream_conformance.tree.measures import AudioMeasure, SegmentMeasure, VideoMeasure
from gostream_conformance.tree.pictures import SLICE_HEADER, Coded, Pictures

_OPENING = 96  # bytes, usually in one packet; only key frames need more


def measure_segment(data: bytes, *, seam: int = 0) -> SegmentMeasure:
    """Measure one MPEG-TS segment. The bytes up to `seam` are its EXT-X-MAP.

    Takes linear time. Raises a MalformedError.
    """
    transport = demux(data, seam=seam)
    video, audio = transport.of_kind(H264), transport.of_kind(AAC)
    return SegmentMeasure(
        size=len(data),
        tables_end=transport.tables_end,
        tables_first=transport.tables_end <= transport.first_payload,
        streams=transport.listed,
        video=_measure_video(video) if video else None,
        audio=_measure_audio(audio) if audio else None,
        counters=transport.counters,
        jumps=transport.jumps,
        jump_count=transport.jump_count,
    )


def measure_iframes(data: bytes, segment: SegmentMeasure) -> Iterator[SegmentMeasure]:
    """Measure each key frame after the tables, as players of I-frame playlists read it."""
    tables = data[: segment.tables_end]
    for key in segment.key_frames:
        yield measure_segment(tables + data[key.offset : key.offset + key.size])


def _measure_video(stream: Stream) -> VideoMeasure:
    pictures = Pictures()
    for pes in stream.packets():
        if pes.pts < 0:
            raise VideoError("a picture without a timestamp", offset=pes.offset)
        data, found = _opening(pes)
        pictures.add(Coded(data, found, pes.pts, pes.dts, pes.offset, pes.end - pes.offset))
    return pictures.measure(stream.pid, begins_whole=stream.begin == stream.units[0].offset)


def _opening(pes: Pes) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Returns the start of a PES packet and its NAL units up to the first slice."""
    data = pes.head(_OPENING)
    found = _up_to_slice(data)
    if not found or found[-1][1] + SLICE_HEADER > len(data):
        data = pes.payload
        found = _up_to_slice(data)
    if not found:
        raise VideoError("a PES packet without a picture", offset=pes.offset)
    return data, found


def _up_to_slice(data: bytes) -> list[tuple[int, int, int]]:
    """Returns the NAL units up to the first slice; an empty list without a slice."""
    found = []
    for unit in nal_units(data):
        found.append(unit)
        if unit[0] in {SLICE, IDR}:
            return found
    return []


def _measure_audio(stream: Stream) -> AudioMeasure:
    configs: dict[AacConfig, None] = {}
    frames = size = stray = 0
    frame = 0.0
    first = -1
    rest = b""  # of a frame that continues in the next PES packet
    for pes in stream.packets():
        if first < 0:
            first = pes.pts
        if first < 0:
            raise AudioError("audio that starts without a timestamp", offset=pes.offset)
        timed = frames + 1 if rest else frames  # the timestamp belongs to the next frame that starts
        data, used = rest + pes.payload, 0
        for config, length in adts_frames(data):
            frame = frame or config.frame_ticks
            configs[config] = None
            frames += 1
            used += length
        size += used
        rest = data[used:]
        if pes.pts >= 0:
            stray = max(stray, abs(ticks_between(first + round(timed * frame), pes.pts)))
    if rest:
        raise AudioError("a truncated ADTS frame")
    if not frames:
        raise AudioError("an audio stream without a frame")
    return AudioMeasure(stream.pid, first, frames, size, stray, tuple(configs))
