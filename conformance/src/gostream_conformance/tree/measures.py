"""The measures of a segment: the figures that playlists and rules need, in a few hundred bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from gostream_conformance.formats.aac import AacConfig
from gostream_conformance.formats.h264 import Sps
from gostream_conformance.formats.mpegts import CLOCK, Jump, ticks_between


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """An IDR picture, and the byte range of the transport packets that carry it."""

    pts: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class VideoMeasure:
    """The pictures of a segment. Times are 90 kHz ticks on the 33-bit clock; durations are ticks."""

    pid: int
    first_pts: int  # of the picture shown first
    last_pts: int  # of the picture shown last
    first_dts: int
    last_dts: int
    frames: int
    frame_ticks: int  # the usual distance between two pictures; 0 for one picture without timing
    longest_gap: int  # except the holes of a constant rate
    missing: int  # pictures missing in those holes
    dts_rise: bool
    key_frames: tuple[KeyFrame, ...]
    starts_with_key: bool  # starts with SPS, PPS and an IDR picture
    #: PTS of the first few entry points that are not IDR, or whose followers are shown before them.
    open_points: tuple[int, ...]
    parameter_sets: tuple[Sps, ...]  # distinct, in order of appearance

    @property
    def ticks(self) -> int:
        """The duration of the pictures."""
        return ticks_between(self.first_pts, self.last_pts) + self.frame_ticks


@dataclass(frozen=True, slots=True)
class AudioMeasure:
    """The audio of a segment."""

    pid: int
    first_pts: int
    frames: int
    size: int  # of the ADTS frames, in bytes
    stray: int  # largest distance in ticks between a timestamp and the end of the samples before it
    configs: tuple[AacConfig, ...]

    @property
    def ticks(self) -> int:
        return int(self.frames * self.configs[0].frame_ticks)


@dataclass(frozen=True, slots=True)
class FragmentFacts:
    """What only segments of fragmented MP4 have. Texts of faults are the first few of their kind."""

    begins: Mapping[int, int]  # by track: the first tfdt, in its own ticks
    ends: Mapping[int, int]  # by track: the end of its last sample
    time_faults: tuple[str, ...]  # a tfdt that is not the end of the fragment before it
    offset_faults: tuple[str, ...]
    order_faults: tuple[str, ...]  # moof without its mdat
    sync_faults: tuple[str, ...]  # samples whose flags contradict their pictures
    entry_faults: tuple[str, ...]  # a sample entry that contradicts the parameter sets
    map_faults: tuple[str, ...]
    sequences: tuple[int, ...]  # of mfhd


@dataclass(frozen=True, slots=True)
class SegmentMeasure:
    """The result of measure_segment."""

    size: int
    tables_end: int  # end of PAT and PMT
    tables_first: bool  # PAT and PMT come before any video or audio
    streams: tuple[tuple[int, int], ...]  # (PID, stream_type), as listed
    video: VideoMeasure | None
    audio: AudioMeasure | None
    counters: dict[int, tuple[int, int]]  # first and last continuity counter by PID
    jumps: tuple[Jump, ...]  # the first few jumps
    jump_count: int
    fragments: FragmentFacts | None = None  # of fragmented MP4

    @property
    def duration(self) -> float:
        """Playing time in seconds, of the video if there is one."""
        track = self.video or self.audio
        return track.ticks / CLOCK if track else 0.0

    @property
    def first_pts(self) -> int | None:
        track = self.video or self.audio
        return track.first_pts if track else None

    @property
    def key_frames(self) -> tuple[KeyFrame, ...]:
        return self.video.key_frames if self.video else ()
