"""Rules for the bytes of segments: start, timeline, continuity, codec limits."""

from collections.abc import Iterator
from itertools import pairwise

from gostream_conformance.errors import MissingMapError, PacketSizeError
from gostream_conformance.formats.aac import AacConfig
from gostream_conformance.formats.mpegts import AAC, CLOCK, DATA, H264, PACKET, ticks_between
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.measures import SegmentMeasure, VideoMeasure
from gostream_conformance.tree.presentation import Kind, Piece, Presentation, Track

PROFILES = {66: "Baseline", 77: "Main", 100: "High"}
HIGHEST_LEVEL = 52
KEY_INTERVAL = 2.0
AAC_LC = 2
LOWEST_AUDIO, HIGHEST_AUDIO = 32_000, 160_000
#: Of sound without pictures, which is music more often.
HIGHEST_ALONE = 320_000

_book = RuleBook()


def _tracks(p: Presentation, *kinds: Kind) -> Iterator[Track]:
    return (track for track in p.tracks.values() if track.kind in (kinds or (Kind.VIDEO, Kind.AUDIO)))


@_book.must("segments.whole-packets", "ISO 13818-1", "every segment consists of complete 188-byte packets")
def whole_packets(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece in track.pieces:
            if isinstance(piece.problem, PacketSizeError):
                yield Finding(piece.where, f"{piece.size} bytes leave {piece.size % PACKET} over")


@_book.must("segments.readable", "7.1", "every segment is MPEG-TS or fragmented MP4 of H.264 or AAC")
def readable(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece in track.pieces:
            if piece.problem and not isinstance(piece.problem, (PacketSizeError, MissingMapError)):
                yield Finding(piece.where, str(piece.problem))
        for piece, measure in track.measured():
            unsupported = sorted({kind for _, kind in measure.streams} - {H264, AAC} - DATA)
            for kind in unsupported:
                what = f"stream type 0x{kind:02x}" if kind >= 0 else "the codec of a track"
                yield Finding(piece.where, f"unsupported: {what}")
            wanted = measure.video if track.kind is Kind.VIDEO else measure.audio
            if not wanted and not unsupported:
                yield Finding(piece.where, f"no {track.kind.value}")


@_book.must(
    "segments.start", "7.4", "segments start with PAT, PMT and, for video, SPS, PPS and an IDR picture"
)
def start(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece, measure in track.measured():
            if not measure.tables_first:
                yield Finding(piece.where, "PAT and PMT come after the first bytes of video or audio")
            if measure.video and not measure.video.starts_with_key:
                yield Finding(piece.where, "the first picture is not a complete IDR with SPS and PPS")


@_book.must("segments.keys-aligned", "8.3", "IDR pictures have the same timestamps in all variants")
def keys_aligned(p: Presentation) -> Iterator[Finding]:
    tracks = list(_tracks(p, Kind.VIDEO))
    for track in tracks[1:]:
        for ours, theirs in zip(track.pieces, tracks[0].pieces, strict=False):
            if not (ours.measure and ours.measure.video and theirs.measure and theirs.measure.video):
                continue
            mine = [key.pts for key in ours.measure.key_frames]
            other = [key.pts for key in theirs.measure.key_frames]
            if mine != other:
                odd = sorted(set(mine) ^ set(other))[:3]
                yield Finding(ours.where, f"IDR timestamps differ from {theirs.where}: {odd} not in both")


@_book.must("segments.continuity", "7.2", "continuity counters continue within and across segments")
def continuity(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece, measure in track.measured():
            for jump in measure.jumps:
                yield Finding(piece.where, f"PID {jump.pid} jumps at byte {jump.offset}")
            if measure.jump_count > len(measure.jumps):
                yield Finding(piece.where, f"{measure.jump_count} jumps in all")
        for _, before, piece, after in _neighbours(track):
            for pid in before.counters.keys() & after.counters.keys():
                last, first = before.counters[pid][1], after.counters[pid][0]
                if first != (last + 1) & 0x0F:
                    yield Finding(piece.where, f"PID {pid} starts with {first} after {last}")


@_book.must(
    "segments.same-streams", "RFC 8216 4.3.2.3", "all segments list the same streams on the same PIDs"
)
def same_streams(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        first: SegmentMeasure | None = None
        for piece, measure in track.measured():
            first = first or measure
            if set(measure.streams) != set(first.streams):
                yield Finding(piece.where, f"{_names(measure)}, where it began with {_names(first)}")


def _names(measure: SegmentMeasure) -> str:
    return ", ".join(f"type 0x{kind:02x} on PID {pid}" for pid, kind in measure.streams) or "no streams"


def _neighbours(track: Track) -> Iterator[tuple[Piece, SegmentMeasure, Piece, SegmentMeasure]]:
    for one, two in pairwise(track.pieces):
        if one.measure and two.measure:
            yield one, one.measure, two, two.measure


@_book.must(
    "segments.timeline", "8.1, 7.3", "timestamps rise, and each segment starts where the one before ends"
)
def timeline(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece, video in track.videos():
            if not video.dts_rise:
                yield Finding(piece.where, "decoding timestamps do not rise, or come after their picture")
        for _, before, piece, after in _neighbours(track):
            if not (before.video and after.video):
                continue
            gap = _gap(before.video, after.video)
            if abs(gap) > 0.5:
                yield Finding(piece.where, f"starts {gap:+.1f} frames from where the segment before ends")
            if ticks_between(before.video.last_dts, after.video.first_dts) <= 0:
                yield Finding(piece.where, "is decoded before the end of the segment before")
        yield from _sound_timeline(track)


def _gap(before: VideoMeasure, after: VideoMeasure) -> float:
    """Returns the missing frames between two segments (negative: repeated), by the longest usual gap."""
    step = ticks_between(before.last_pts, after.first_pts)
    shortest, longest = before.frame_ticks, before.longest_gap
    if not longest:
        return 0.0
    return max(0.0, step / longest - 1) + min(0.0, step / (shortest or longest) - 1)


@_book.should("segments.no-holes", "gostream", "no picture of a constant rate is missing")
def no_holes(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece, video in track.videos():
            if video.missing:
                yield Finding(piece.where, f"{video.missing} pictures are missing")


def _sound_timeline(track: Track) -> Iterator[Finding]:
    """Check audio timestamps: each equals the end of all samples before it, independent of the video."""
    start: int | None = None
    elapsed = 0.0
    for piece in track.pieces:
        if not piece.measure:
            start = None  # the length of its audio is unknown
            continue
        audio = piece.measure.audio
        if not audio:
            continue
        frame = audio.configs[0].frame_ticks
        late = 0 if start is None else ticks_between(start + round(elapsed), audio.first_pts)
        if abs(late) > frame / 2:
            yield Finding(
                piece.where, f"audio starts {late / frame:+.1f} frames from the end of the previous"
            )
        if audio.stray > frame / 2:
            yield Finding(piece.where, f"an audio timestamp is off by {audio.stray / frame:.1f} frames")
        if start is None or abs(late) > frame / 2:  # reports each fault once
            start, elapsed = audio.first_pts, 0.0
        elapsed += audio.frames * frame


@_book.must("segments.h264", "1.3, 1.14", "H.264 up to High, level 5.2, 8-bit 4:2:0, progressive")
def h264(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p, Kind.VIDEO):
        for piece, video in track.videos():
            for sps in video.parameter_sets:
                if sps.profile not in PROFILES:
                    yield Finding(
                        piece.where, f"profile {sps.profile} is not one of {', '.join(PROFILES.values())}"
                    )
                if sps.level > HIGHEST_LEVEL:
                    yield Finding(piece.where, f"level {sps.level / 10:.1f}")
                if (sps.chroma_format, sps.bit_depth) != (1, 8):
                    yield Finding(piece.where, f"chroma format {sps.chroma_format}, {sps.bit_depth} bits")
                if not sps.progressive:
                    yield Finding(piece.where, "the SPS allows interlaced coding")


@_book.should("segments.key-interval", "1.13", "there is an IDR picture every 2 s")
def key_interval(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p, Kind.VIDEO):
        steps = [
            (piece, video, pair) for piece, video in track.videos() for pair in pairwise(video.key_frames)
        ]
        for _, before, piece, after in _neighbours(track):
            if after.video and before.key_frames and after.key_frames:
                steps.append((piece, after.video, (before.key_frames[-1], after.key_frames[0])))
        for piece, video, (one, two) in steps:
            apart = ticks_between(one.pts, two.pts) / CLOCK
            if apart > KEY_INTERVAL + video.longest_gap / CLOCK:
                yield Finding(piece.where, f"{apart:.2f} s between two IDR pictures")


@_book.must("segments.closed-gops", "1.12", "no picture refers to a picture before its entry point")
def closed_gops(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p, Kind.VIDEO):
        for piece, video in track.videos():
            for pts in video.open_points:
                yield Finding(piece.where, f"the entry point at {pts} is open")


@_book.must(
    "segments.aac", "2.9", "audio is AAC-LC of at most 160 kb/s, 320 without pictures, with one configuration"
)
def aac(p: Presentation) -> Iterator[Finding]:
    highest = HIGHEST_ALONE if p.is_sound_alone else HIGHEST_AUDIO
    for track in _tracks(p):
        first: AacConfig | None = None
        for piece, audio in track.audios():
            first = first or audio.configs[0]
            for config in audio.configs:
                if config.object_type != AAC_LC:
                    yield Finding(piece.where, f"AAC object type {config.object_type}, not LC")
                if config != first:
                    yield Finding(piece.where, f"{config}, but the audio starts as {first}")
        rate = _audio_rate(track)
        if rate > highest * 1.01:
            yield Finding(track.path, f"{rate / 1000:.0f} kb/s of audio")


@_book.should("segments.aac-rate", "2.9", "audio has at least 32 kb/s")
def aac_rate(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        rate = _audio_rate(track)
        if 0 < rate < LOWEST_AUDIO:
            yield Finding(track.path, f"{rate / 1000:.0f} kb/s of audio")


def _audio_rate(track: Track) -> float:
    """Returns the bit rate of the AAC frames, without packet overhead."""
    audios = [audio for _, audio in track.audios()]
    ticks = sum(audio.ticks for audio in audios)
    return sum(audio.size for audio in audios) * 8 * CLOCK / ticks if ticks else 0.0


@_book.must("segments.sound-in-step", "8.3", "video and audio start within one AAC frame of each other")
def sound_in_step(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        for sound in p.sound_of(variant, track):
            pictures = next((m.video for m in _beginning(track) if m.video), None)
            heard = next((m.audio for m in _beginning(sound) if m.audio), None)
            if not (pictures and heard):
                continue
            apart = abs(ticks_between(pictures.first_pts, heard.first_pts))
            if apart > heard.configs[0].frame_ticks + 1:
                yield Finding(
                    track.path, f"pictures and {sound.path} start {apart / CLOCK * 1000:.1f} ms apart"
                )


def _beginning(track: Track) -> Iterator[SegmentMeasure]:
    """Yield the measures before the first segment that could not be measured."""
    for piece in track.pieces:
        if not piece.measure:
            return
        yield piece.measure


RULES = tuple(_book.rules)
