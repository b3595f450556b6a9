"""Decides which tracks can be copied because they already have the required format. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gostream_worker.media_units import AAC_FRAME, CHANNELS, CLOCK, SHORTEST_SOUND
from gostream_worker.probe.model import AudioScan, AudioTrack, PictureGroup, VideoScan, VideoTrack
from gostream_worker.probe.tracks.colour import BT601, BT709, UNSPECIFIED

#: Maximum seconds between two key frames.
LONGEST_GROUP = 6
#: Minimum average; shorter groups make the I-frame playlists too long.
SHORTEST_GROUP = 0.5
#: H.264 Baseline, Main, High.
_PROFILES = frozenset({66, 77, 100})
_HIGHEST_LEVEL = 52
_FPS_TOLERANCE = 0.002
_AUDIO_RATES = (44_100, 48_000)
_AUDIO_BITRATES = range(32_000, 160_001)
#: MatrixCoefficients that every player supports or uses by default.
_MATRICES = frozenset({BT709, UNSPECIFIED, 5, BT601, 7})


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cuts of a copied picture: at the first key frame at or after each multiple of `interval` seconds."""

    interval: Fraction
    longest: Fraction  # seconds of the longest segment


def video_cuts(
    video: VideoTrack, *, size: tuple[int, int], fps: Fraction, max_bitrate: int, segment_seconds: int
) -> Cuts | None:
    """Returns the cuts if the track can be copied as a top rung of that size and rate, else None.

    Each segment must fit the encoder's limit: `max_bitrate` with a buffer of two seconds.
    """
    scan = video.scan
    if scan is None or not _is_upright(video, size) or not _is_playable(scan) or not _is_steady(scan, fps):
        return None
    cuts = _best_cuts(scan.groups, scan.end, segment_seconds)
    if cuts is None or any(
        bits > max_bitrate * (seconds + 2)
        for seconds, bits in _segments(scan.groups, scan.end, cuts.interval)
    ):
        return None
    return cuts


def sound_fits(audio: AudioTrack) -> bool:
    """Returns whether the sound can be copied: gapless stereo AAC-LC that begins with the picture.

    Sound of a few frames is encoded and padded, because players do not recognise it.
    """
    scan = audio.scan
    if scan is None or not scan.is_low_complexity or not scan.is_gapless:
        return False
    if scan.frames * AAC_FRAME < SHORTEST_SOUND * audio.sample_rate:
        return False
    if (audio.channels, audio.sample_rate in _AUDIO_RATES) != (CHANNELS, True):
        return False
    in_step = abs(scan.start) <= CLOCK * AAC_FRAME // audio.sample_rate
    return in_step and _bitrate(scan, audio.sample_rate) in _AUDIO_BITRATES


def _bitrate(scan: AudioScan, sample_rate: int) -> int:
    return scan.size * 8 * sample_rate // (scan.frames * AAC_FRAME)


def _is_upright(video: VideoTrack, size: tuple[int, int]) -> bool:
    """Returns whether the picture needs no transformation: the rung's size, upright, standard colours."""
    return (
        (video.width, video.height) == size
        and video.sample_aspect == 1
        and (video.rotation, video.as_stored) == (0, True)
        and (video.pixel_format, video.interlaced, video.combs) == ("yuv420p", False, None)
        and video.transfer in {UNSPECIFIED, BT601, BT709}
        and video.matrix in _MATRICES
        and not (video.relabelled and video.relabelled.full_range)
        and not video.leading
    )


def _is_playable(scan: VideoScan) -> bool:
    return (
        scan.profile in _PROFILES
        and scan.level <= _HIGHEST_LEVEL
        and scan.is_progressive
        and scan.sample_aspect == 1
        and abs(scan.start) <= CLOCK // 1000
    )


def _is_steady(scan: VideoScan, fps: Fraction) -> bool:
    """Returns whether frames follow each other at the rate of the other rungs."""
    frame = CLOCK / fps
    if scan.frames < 2 or scan.shortest_gap < frame / 2 or scan.longest_gap > frame * 3 / 2:
        return False
    if scan.longest_gap - scan.shortest_gap <= 1 and abs(scan.shortest_gap - frame) > 1:
        return False  # a constant rate is accurate to a tick per frame, and FRAME-RATE must equal it
    expected = scan.frames * frame
    return abs(scan.end - expected) <= max(expected * Fraction(_FPS_TOLERANCE), frame)


def _best_cuts(groups: Sequence[PictureGroup], end: int, segment_seconds: int) -> Cuts | None:
    """Returns the cuts with the shortest longest segment, for segments of about `segment_seconds`."""
    starts = [group.start for group in groups]
    lengths = [after - start for start, after in zip(starts, [*starts[1:], end], strict=True)]
    if max(lengths) > LONGEST_GROUP * CLOCK or end < (len(groups) - 1) * SHORTEST_GROUP * CLOCK:
        return None
    usual = Fraction(sorted(lengths)[len(lengths) // 2], CLOCK)
    multiple = max(1, int((segment_seconds + Fraction(1, 2)) / usual))
    choices = (Fraction(segment_seconds), multiple * usual)
    found = [
        Cuts(interval, max(seconds for seconds, _ in _segments(groups, end, interval)))
        for interval in choices
    ]
    return min(found, key=lambda cuts: cuts.longest)


def _segments(groups: Sequence[PictureGroup], end: int, interval: Fraction) -> Iterator[tuple[Fraction, int]]:
    """Yields (seconds, bits) of each segment, cut as ffmpeg's muxer does."""
    starts = [group.start for group in groups]
    first, number = 0, 1
    while first < len(groups):
        after = max(first + 1, bisect_left(starts, interval * number * CLOCK))
        until = starts[after] if after < len(groups) else end
        bits = sum(group.size for group in groups[first:after]) * 8
        yield Fraction(until - starts[first], CLOCK), bits
        first, number = after, number + 1
