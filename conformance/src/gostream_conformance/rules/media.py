"""Rules for media playlists: complete, consistent with each other and with their segments."""

from collections.abc import Iterator

from gostream_conformance.formats.aac import SAMPLES_PER_FRAME
from gostream_conformance.formats.mpegts import CLOCK, ticks_between
from gostream_conformance.playlist.model import ByteRange, MediaPlaylist
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.measures import SegmentMeasure, VideoMeasure
from gostream_conformance.tree.presentation import Kind, Piece, Presentation, Track

_book = RuleBook()


def _playlists(p: Presentation, *kinds: Kind) -> Iterator[tuple[Track, MediaPlaylist]]:
    for track in p.tracks.values():
        if track.playlist and (not kinds or track.kind in kinds):
            yield track, track.playlist


@_book.must("media.parses", "RFC 8216 4", "every media playlist parses and has no master tags")
def parses(p: Presentation) -> Iterator[Finding]:
    for where, why in p.unparsed:
        if where != p.master_path:
            yield Finding(where, why)


@_book.must("media.vod", "8.6", "playlists are VOD and complete")
def vod(p: Presentation) -> Iterator[Finding]:
    for track, playlist in _playlists(p):
        if playlist.kind != "VOD":
            yield Finding(track.path, "EXT-X-PLAYLIST-TYPE:VOD is missing")
        if not playlist.ended:
            yield Finding(track.path, "EXT-X-ENDLIST is missing")


@_book.must("media.target-duration", "RFC 8216 4.3.3.1, 7.7", "no segment is longer than the target duration")
def target_duration(p: Presentation) -> Iterator[Finding]:
    for track, playlist in _playlists(p):
        for segment in playlist.segments:
            if int(segment.duration + 0.5) > playlist.target_duration:
                yield Finding(
                    f"{track.path}:{segment.line}",
                    f"EXTINF {segment.duration} with EXT-X-TARGETDURATION {playlist.target_duration}",
                )


@_book.must("media.one-target-duration", "8.2", "all playlists have the same target duration")
def one_target_duration(p: Presentation) -> Iterator[Finding]:
    targets = {track.path: m.target_duration for track, m in _playlists(p, Kind.VIDEO, Kind.AUDIO, Kind.TEXT)}
    if len(set(targets.values())) > 1:
        yield Finding(p.master_path, "; ".join(f"{path}: {target}" for path, target in targets.items()))


@_book.must(
    "media.same-boundaries", "8.3, 8.22", "the variants have the same segments: count, lengths, total"
)
def same_boundaries(p: Presentation) -> Iterator[Finding]:
    playlists = list(_playlists(p, Kind.VIDEO))
    if not playlists:
        return
    first_track, first = playlists[0]
    frame = _frame_seconds(first_track)
    for track, playlist in playlists[1:]:
        if len(playlist.segments) != len(first.segments):
            counts = f"{len(playlist.segments)} segments, {first_track.path} has {len(first.segments)}"
            yield Finding(track.path, counts)
            continue
        for ours, theirs in zip(playlist.segments, first.segments, strict=True):
            if abs(ours.duration - theirs.duration) > frame / 2:
                yield Finding(f"{track.path}:{ours.line}", f"EXTINF {ours.duration}, not {theirs.duration}")
        if abs(playlist.duration - first.duration) > frame:
            yield Finding(track.path, f"{playlist.duration:.3f} s in all, not {first.duration:.3f}")


def _frame_seconds(track: Track) -> float:
    video = next((video for _, video in track.videos()), None)
    return (video.frame_ticks / CLOCK if video else 0.0) or 0.04


@_book.must("media.extinf", "8.1", "EXTINF is within one frame of the timestamps")
def extinf(p: Presentation) -> Iterator[Finding]:
    for track, _ in _playlists(p, Kind.VIDEO, Kind.AUDIO):
        for piece, measure in track.measured():
            if not (measure.video if track.kind is Kind.VIDEO else measure.audio):
                continue
            frame = _longest_frame(measure)
            apart = abs(piece.segment.duration - measure.duration)
            if apart > frame + 0.001:
                yield Finding(
                    f"{track.path}:{piece.segment.line}",
                    f"EXTINF {piece.segment.duration}, but {piece.where} lasts {measure.duration:.3f}",
                )


def _longest_frame(measure: SegmentMeasure) -> float:
    """Returns the duration of the longest picture or of an AAC frame in seconds."""
    if measure.video:
        return measure.video.longest_gap / CLOCK
    return SAMPLES_PER_FRAME / measure.audio.configs[0].sample_rate if measure.audio else 0.0


@_book.must("media.version", "RFC 8216 7", "EXT-X-VERSION is high enough for the tags used")
def version(p: Presentation) -> Iterator[Finding]:
    for track, playlist in _playlists(p):
        if playlist.version < playlist.needed_version:
            yield Finding(track.path, f"version {playlist.version}, its tags need {playlist.needed_version}")


@_book.must("media.no-discontinuity", "8.13", "there is no discontinuity")
def no_discontinuity(p: Presentation) -> Iterator[Finding]:
    for track, playlist in _playlists(p):
        for segment in playlist.segments:
            if segment.discontinuity:
                yield Finding(f"{track.path}:{segment.line}", "EXT-X-DISCONTINUITY")


@_book.must("media.supported", "gostream", "all media can be checked: unencrypted H.264 and AAC")
def supported(p: Presentation) -> Iterator[Finding]:
    for key in p.master.keys if p.master else []:
        yield Finding(f"{p.master_path}:{key.line}", "unsupported: encrypted")
    for track in p.tracks.values():
        if track.unsupported:
            yield Finding(track.path, f"unsupported: {track.unsupported}")


@_book.must("media.iframe-ranges", "6.8", "each range of an I-frame playlist is one complete IDR picture")
def iframe_ranges(p: Presentation) -> Iterator[Finding]:
    whole = _whole_key_frames(p)
    for track, playlist in _iframe_playlists(p):
        if not playlist.iframes_only:
            yield Finding(track.path, "EXT-X-I-FRAMES-ONLY is missing")
        for piece in track.pieces if playlist.iframes_only else []:
            if piece.problem:
                yield Finding(piece.where, str(piece.problem))
            elif piece.measure:
                yield from _one_key_frame(piece, piece.measure, whole)


def _iframe_playlists(p: Presentation) -> Iterator[tuple[Track, MediaPlaylist]]:
    for track in {track.path: track for _, track in p.iframe_tracks}.values():
        if track.playlist:
            yield track, track.playlist


def _whole_key_frames(p: Presentation) -> dict[str | None, set[ByteRange]]:
    """Returns the key frames of the measured segments by file, each segment once."""
    segments = {
        (piece.path, piece.segment.byte_range): piece
        for track, playlist in _playlists(p, Kind.VIDEO)
        for piece, _ in track.videos()
        if not playlist.iframes_only
    }
    found: dict[str | None, set[ByteRange]] = {}
    for piece in segments.values():
        found.setdefault(piece.path, set()).update(piece.key_frames())
    return found


def _one_key_frame(
    piece: Piece, measure: SegmentMeasure, whole: dict[str | None, set[ByteRange]]
) -> Iterator[Finding]:
    video = measure.video
    pictures, keys = (video.frames, len(video.key_frames)) if video else (0, 0)
    if (pictures, keys) != (1, 1) or not video or not video.starts_with_key:
        yield Finding(piece.where, f"{pictures} pictures, {keys} of them IDR")
    elif measure.key_frames[0].offset not in {measure.size - piece.size, measure.tables_end}:
        yield Finding(piece.where, "begins before its picture")
    elif piece.path in whole and not whole[piece.path].issuperset(piece.key_frames()):
        yield Finding(piece.where, "is not a complete key frame")


@_book.must(
    "media.iframe-timeline",
    "RFC 8216 4.3.3.6",
    "I-frames are listed in order, and each lasts until the next one or the end",
)
def iframe_timeline(p: Presentation) -> Iterator[Finding]:
    first, last = _ends(p)
    for track, playlist in _iframe_playlists(p):
        iframes = list(track.videos())
        if not playlist.iframes_only or not iframes or len(iframes) < len(track.pieces):
            continue  # other rules report it
        starts = [video.first_pts for _, video in iframes]
        tolerance = (last or iframes[-1][1]).longest_gap / CLOCK + 0.001
        if first and abs(apart := ticks_between(first.first_pts, starts[0]) / CLOCK) > tolerance:
            yield Finding(iframes[0][0].where, f"starts {apart:.3f} s after the first picture")
        ends = [*starts[1:], *([last.last_pts + last.frame_ticks] if last else [])]
        for (piece, _), start, end in zip(iframes, starts, ends, strict=False):
            shown = ticks_between(start, end) / CLOCK
            if shown <= 0 or abs(piece.segment.duration - shown) > tolerance:
                where = f"{track.path}:{piece.segment.line}"
                yield Finding(where, f"EXTINF {piece.segment.duration}, the next comes after {shown:.3f} s")


def _ends(p: Presentation) -> tuple[VideoMeasure | None, VideoMeasure | None]:
    """Returns the first and the last measured segment, which are the same in all variants."""
    for _, track in p.variant_tracks:
        first, last = (track.pieces[at].measure if track.pieces else None for at in (0, -1))
        if first and last and first.video and last.video:
            return first.video, last.video
    return None, None


RULES = tuple(_book.rules)
