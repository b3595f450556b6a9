"""Decodes a published film and measures its picture and sound."""

import io
import re
from array import array
from collections.abc import Iterator
from math import hypot
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import Flags as CodecFlags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .media import ffmpeg_says
from .pipeline import Outcome

_COLUMNS, _ROWS = 32, 18


def first_picture(outcome: Outcome) -> list[int]:
    """Red, green and blue of the top rung's first picture, averaged over a coarse grid."""
    frame = next(frame for frame in _decoded(outcome, _top(outcome)) if isinstance(frame, VideoFrame))
    small = frame.reformat(_COLUMNS, _ROWS, "rgb24", interpolation="AREA")
    plane = small.planes[0]
    data, width = bytes(plane), 3 * _COLUMNS
    return [
        value for row in range(_ROWS) for value in data[row * plane.line_size : row * plane.line_size + width]
    ]


def difference(one: list[int], other: list[int]) -> float:
    """The mean one between two pictures, of 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def loudness(outcome: Outcome) -> tuple[float, float]:
    """Root mean square of the left and of the right channel, of 1."""
    resampler = AudioResampler(format="s16p", layout="stereo")
    squares, samples = [0.0, 0.0], 0
    for frame in _decoded(outcome, "audio"):
        assert isinstance(frame, AudioFrame)
        for part in resampler.resample(frame):
            for channel, plane in enumerate(part.planes):
                values = array("h", bytes(plane)[: part.samples * 2])
                squares[channel] = hypot(squares[channel], *values)
            samples += part.samples
    left, right = (square / (samples or 1) ** 0.5 / (1 << 15) for square in squares)
    return left, right


def combed_share(outcome: Outcome, folder: Path) -> float:
    """The part of the top rung's pictures that ffmpeg's detector takes for two woven fields."""
    source = folder / "looked-at.ts"
    source.write_bytes(_stream(outcome, _top(outcome)))
    said = ffmpeg_says("-i", str(source), "-vf", "idet", "-f", "null", "-")
    found = re.findall(r"Multi frame detection: TFF: *(\d+) BFF: *(\d+) Progressive: *(\d+)", said)
    upper, lower, whole = map(int, found[-1])
    return (upper + lower) / max(1, upper + lower + whole)


def _top(outcome: Outcome) -> str:
    assert outcome.publication is not None
    return outcome.publication.renditions[0].name


def _decoded(outcome: Outcome, rendition: str) -> Iterator[VideoFrame | AudioFrame]:
    with av.open(io.BytesIO(_stream(outcome, rendition)), mode="r", format="mpegts") as container:
        track = container.streams[0]
        if isinstance(track, VideoStream):  # else crops are rounded to what vectors are aligned to
            track.codec_context.flags |= CodecFlags.unaligned
        for frame in container.decode(track):
            assert isinstance(frame, VideoFrame | AudioFrame)
            yield frame


def _stream(outcome: Outcome, rendition: str) -> bytes:
    """All segments that its last playlist names."""
    [*_, name] = sorted(n for n in outcome.published if f"/{rendition}/playlist" in n)
    folder = name.rpartition("/")[0]
    lines = outcome.published[name].decode().splitlines()
    return b"".join(outcome.published[f"{folder}/{line}"] for line in lines if not line.startswith("#"))
