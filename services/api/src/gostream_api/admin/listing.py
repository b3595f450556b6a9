"""Lists the facts of a video for people."""

from collections.abc import Iterator
from dataclasses import dataclass

from gostream_api.admin.facts import EdgeAnswer, Facts, Presence, Seen
from gostream_api.admin.verdict import ANNOUNCED_WITHIN, MAX_CLOCK_OFFSET, SILENT_WORKER
from gostream_api.admin.wording import duration
from gostream_shared.domain.companions.explanations import EncodeRecord, QueueRecord, VideoRecord
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.uploads import UploadState
from gostream_shared.domain.video import VideoStatus


@dataclass(frozen=True, slots=True)
class Line:
    """One fact. `is_bad`: it contradicts the state of the video."""

    name: str
    value: str
    is_bad: bool = False


def lines(facts: Facts) -> Iterator[Line]:
    """Yields the known facts, the most telling ones first."""
    record = facts.record
    if record is None:
        yield Line("database", "does not answer", is_bad=True)
        return
    video = record.video
    yield Line("status", f"{video.status.value}, version {video.version}")
    yield Line("owner", video.user_id)
    if video.failure is not None:
        yield Line("failure", f"{video.failure.code}: {video.failure.message}", is_bad=True)
    if record.encode is not None:
        yield from _encode(record.encode, is_over=video.status is not VideoStatus.PROCESSING)
    if record.queue is not None and video.status is VideoStatus.PROCESSING:
        yield from _queue(record.queue)
    yield from _source(facts, record)
    yield from _publication(facts, record)
    yield from _caches(facts, record)
    for track in record.tracks:
        code = f": {track.error_code}" if track.error_code else ""
        yield Line(f"track {track.id}", f"{track.state}{code}", is_bad=track.state == "FAILED")
    if video.publication is not None:
        for found in video.publication.tracks:
            if found.error_code:
                yield Line(f"track {found.id}", f"{found.state}: {found.error_code}")
    if record.encode is not None and record.encode.log_tail:
        yield Line("log", record.encode.log_tail, is_bad=video.status is VideoStatus.FAILED)


def _encode(encode: EncodeRecord, *, is_over: bool) -> Iterator[Line]:
    attempts = f"{encode.attempt} attempts, {encode.forgiven} forgiven"
    by = f", worker {encode.worker}" if encode.worker else ""
    at = "" if is_over else f", {encode.stage} {encode.percent:.0f} %"
    yield Line("encode", f"number {encode.number}, profile {encode.profile or 'default'}{by}{at}, {attempts}")
    if encode.chunks:
        tries = f", up to {encode.chunk_tries} tries" if encode.chunk_tries > 1 else ""
        left = encode.chunks - encode.chunks_done
        yield Line("chunks", f"{encode.chunks_done} done, {left} left{tries}", is_bad=encode.chunk_tries > 1)
    if encode.outage_since is not None and not is_over:
        yield Line("outage", f"since {encode.outage_since:%H:%M:%S UTC}", is_bad=True)


def _queue(queue: QueueRecord) -> Iterator[Line]:
    each = "" if queue.seconds_each is None else f", {duration(queue.seconds_each)} each"
    yield Line("queue", f"{queue.ahead} encodes before it, {queue.workers} workers encode{each}")
    beat = "" if queue.heartbeat_age is None else f", last heartbeat {duration(queue.heartbeat_age)} ago"
    is_silent = queue.heartbeat_age is not None and queue.heartbeat_age > SILENT_WORKER
    yield Line("jobs", f"{queue.jobs}{beat}", is_bad=queue.jobs == 0 or is_silent)


def _source(facts: Facts, record: VideoRecord) -> Iterator[Line]:
    if facts.source is not None:
        is_needed = record.video.status is not VideoStatus.PENDING_UPLOAD and not facts.is_fetching
        yield Line("source", _seen(facts.source), is_bad=_is_missing(facts.source) and is_needed)
    is_present = facts.source is not None and facts.source.presence is Presence.PRESENT
    if facts.source and is_present and record.size_bytes not in (None, facts.source.size):
        yield Line("declared size", f"{record.size_bytes} bytes", is_bad=True)
    if (remote := record.remote) is not None:
        kind = "an object of the store" if remote.key else "a URL"
        yield Line("remote source", f"{kind}, {'fetched' if remote.is_fetched else 'not fetched yet'}")
    if (upload := facts.upload) is not None:
        session = upload.session
        stored = "unknown" if upload.stored is None else upload.stored
        yield Line(
            "upload",
            f"{session.state.value}, {stored} of {session.part_count} parts, "
            f"expires {session.expires_at:%H:%M:%S UTC}",
            is_bad=session.state in (UploadState.EXPIRED, UploadState.ABORTED),
        )
    elif record.upload_url_expires_at is not None and record.video.status is VideoStatus.PENDING_UPLOAD:
        is_late = record.upload_url_expires_at <= record.now
        yield Line("upload URL", f"expires {record.upload_url_expires_at:%H:%M:%S UTC}", is_bad=is_late)


def _publication(facts: Facts, record: VideoRecord) -> Iterator[Line]:
    if facts.master is not None:
        yield Line("master playlist", _seen(facts.master), is_bad=_is_missing(facts.master))
    if facts.gate is not None:
        is_missing = record.video.playback_policy is not PlaybackPolicy.OFF and _is_missing(facts.gate)
        yield Line("gate", _seen(facts.gate), is_bad=is_missing)
    if (edge := facts.edge) is not None:
        status = f" {edge.status}" if edge.status else ""
        yield Line(
            "edge", f"{edge.answer.value}{status}: {edge.url}", is_bad=edge.answer is not EdgeAnswer.SAME
        )


def _caches(facts: Facts, record: VideoRecord) -> Iterator[Line]:
    if facts.served_version is not None:
        is_behind = facts.served_version < record.video.version
        yield Line("served version", str(facts.served_version), is_bad=is_behind)
    if record.unannounced:
        late = record.unannounced_for > ANNOUNCED_WITHIN
        yield Line(
            "outbox", f"{record.unannounced} versions for {duration(record.unannounced_for)}", is_bad=late
        )
    if not facts.has_bus:
        yield Line("redis", "does not answer this API", is_bad=True)
    if abs(facts.clock_offset) > 1:
        is_far = abs(facts.clock_offset) > MAX_CLOCK_OFFSET
        yield Line("clock", f"{facts.clock_offset:+.0f} s from the database's", is_bad=is_far)


def _is_missing(seen: Seen) -> bool:
    return seen.presence is not Presence.PRESENT


def _seen(seen: Seen) -> str:
    return f"present, {seen.size} bytes" if seen.presence is Presence.PRESENT else seen.presence.value
