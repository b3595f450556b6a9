"""Measures a segment of fragmented MP4, in the figures of a transport stream, on its 90 kHz clock."""

from collections.abc import Iterator

from gostream_conformance.errors import VideoError
from gostream_conformance.formats.aac import SAMPLES_PER_FRAME
from gostream_conformance.formats.h264 import IDR, PPS, SLICE, SPS
from gostream_conformance.formats.mp4.fragments import Fragments, Run, parse_fragments
from gostream_conformance.formats.mp4.initialization import FragmentTrack, Initialization, Picture
from gostream_conformance.formats.mpegts import AAC, CLOCK, H264
from gostream_conformance.tree.measures import AudioMeasure, FragmentFacts, SegmentMeasure, VideoMeasure
from gostream_conformance.tree.pictures import Coded, Pictures

_WRAP = 1 << 33
_FAULTS_KEPT = 3
_OTHER = -1  # the type of streams that are neither H.264 nor AAC


def measure_fragments(data: bytes, *, seam: int, cut: bool = False) -> SegmentMeasure:
    """Measure one segment, of which the bytes up to `seam` are the initialization section.

    With `cut`, it is the range of a key frame, which ends in the middle of an mdat. Takes linear time.
    Raises a MalformedError.
    """
    found = parse_fragments(data, seam=seam, cut=cut)
    tracks = [found.initialization.tracks[number] for number in dict.fromkeys(r.track for r in found.runs)]
    seen = next((track for track in tracks if track.picture), None)
    heard = next((track for track in tracks if track.sound), None)
    video, contradictions = _measure_video(data, seen, found) if seen else (None, [])
    return SegmentMeasure(
        size=len(data),
        tables_end=0,
        tables_first=True,
        streams=tuple((track.id, _kind(track)) for track in tracks),
        video=video,
        audio=_measure_audio(heard, found) if heard else None,
        counters={},
        jumps=(),
        jump_count=0,
        fragments=FragmentFacts(
            begins={track.id: next(found.of_track(track.id)).begin for track in tracks},
            ends={track.id: list(found.of_track(track.id))[-1].end for track in tracks},
            time_faults=_first(_late_runs(tracks, found)),
            offset_faults=tuple(found.offset_faults),
            order_faults=tuple(found.order_faults),
            sync_faults=_first(iter(contradictions)),
            entry_faults=_first(_entry_faults(tracks)),
            map_faults=_first(_map_faults(found.initialization)),
            sequences=tuple(found.sequences),
        ),
    )


def _first(faults: Iterator[str]) -> tuple[str, ...]:
    return tuple(fault for fault, _ in zip(faults, range(_FAULTS_KEPT), strict=False))


def _kind(track: FragmentTrack) -> int:
    return H264 if track.picture else AAC if track.sound else _OTHER


def _ticks(time: int, track: FragmentTrack) -> int:
    """Returns a time of the track on the 90 kHz clock, moved by its edit list."""
    return round(time * CLOCK / track.timescale + track.shift * CLOCK) % _WRAP


def _measure_video(
    data: bytes, track: FragmentTrack, found: Fragments
) -> tuple[VideoMeasure | None, list[str]]:
    assert track.picture  # noqa: S101 - chosen by it
    sets = frozenset({SPS, PPS} if track.picture.sets and track.picture.has_pps else ())
    pictures = Pictures(dict(track.picture.sets), sets)
    contradictions = []
    for sample in (sample for run in found.of_track(track.id) for sample in run.samples):
        opening = data[sample.offset : sample.offset + sample.size]
        units = _up_to_slice(opening, track.picture)
        begin = sample.offset if sample.moof < 0 else sample.moof
        shown, decoded = _ticks(sample.shown, track), _ticks(sample.decoded, track)
        coded = Coded(opening, units, shown, decoded, begin, sample.offset + sample.size - begin)
        idr = pictures.add(coded)
        if idr != sample.sync:
            what = "an IDR picture is not marked" if idr else "a picture that is no IDR is marked"
            contradictions.append(f"{what} as a sync sample, at {shown}")
    return pictures.measure(track.id, early=True), contradictions


def _up_to_slice(data: bytes, entry: Picture) -> list[tuple[int, int, int]]:
    """Returns (type, start, end) of the NAL units up to the first slice. Raises VideoError."""
    found, at = [], 0
    while at + entry.length_size <= len(data):
        begin = at + entry.length_size
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data):
            raise VideoError("a NAL unit that is longer than its sample", offset=begin)
        if begin == at:
            continue
        kind = data[begin] & 0x1F
        found.append((kind, begin, at))
        if kind in {SLICE, IDR}:
            return found
    raise VideoError("a sample without a picture")


def _measure_audio(track: FragmentTrack, found: Fragments) -> AudioMeasure:
    assert track.sound  # noqa: S101 - chosen by it
    runs = list(found.of_track(track.id))
    samples = [sample for run in runs for sample in run.samples]
    frame = SAMPLES_PER_FRAME * track.timescale / track.sound.sample_rate
    stray = max(
        abs(sample.shown - samples[0].shown - number * frame) for number, sample in enumerate(samples)
    )
    return AudioMeasure(
        pid=track.id,
        first_pts=_ticks(samples[0].shown, track),
        frames=len(samples),
        size=sum(sample.size for sample in samples),
        stray=round(stray * CLOCK / track.timescale),
        configs=(track.sound,),
    )


def _late_runs(tracks: list[FragmentTrack], found: Fragments) -> Iterator[str]:
    for track in tracks:
        before: Run | None = None
        for run in found.of_track(track.id):
            if before and run.begin != before.end:
                yield f"track {track.id} goes on at {run.begin}, the fragment before ends at {before.end}"
            before = run


def _entry_faults(tracks: list[FragmentTrack]) -> Iterator[str]:
    for track in tracks:
        if not track.picture:
            continue
        for _, sps in track.picture.sets:
            if track.picture.record != (sps.profile, sps.constraints, sps.level):
                said = "".join(f"{byte:02x}" for byte in track.picture.record)
                yield f"avcC says avc1.{said}, its parameter set {sps.codec}"
            if track.picture.size != (sps.width, sps.height):
                width, height = track.picture.size
                yield f"the sample entry says {width}x{height}, its parameter set {sps.width}x{sps.height}"


def _map_faults(first: Initialization) -> Iterator[str]:
    if not first.typed:
        yield "does not begin with ftyp"
    for track in first.tracks.values():
        if track.samples:
            yield f"track {track.id} has {track.samples} samples in the moov"
        if track.id not in first.defaults:
            yield f"track {track.id} has no trex"
