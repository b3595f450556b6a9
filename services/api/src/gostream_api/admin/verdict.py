"""Decides why a video is in its state, from facts alone."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from gostream_api.admin.causes import Cause, Verdict
from gostream_api.admin.facts import Edge, EdgeAnswer, Facts, Presence, Seen
from gostream_api.admin.wording import duration
from gostream_shared.domain.companions.explanations import EncodeRecord, QueueRecord, VideoRecord
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.uploads import UploadState
from gostream_shared.domain.video import VideoStatus

#: Seconds that clocks may differ. Signed requests are refused after fifteen minutes.
MAX_CLOCK_OFFSET = 60.0
#: Seconds that an encode may wait while no worker encodes: free workers take jobs within seconds.
IDLE_WAIT = 30.0
#: Seconds after which a worker that sends no heartbeat has lost its job: ten times the usual JOB_LEASE.
SILENT_WORKER = 60.0
#: Seconds in which the relay announces every version.
ANNOUNCED_WITHIN = 30.0
#: Failed tries of one chunk after which it is the cause.
_FAILING_TRIES = 2

#: The failures that are faults of the source and that another upload fixes.
_UNREADABLE = "send another file; the message says what is wrong with this one"
_FAILURES: Mapping[str, tuple[Cause, str]] = MappingProxyType(
    {
        "SOURCE_GONE": (Cause.SOURCE_MISSING, ""),
        "SOURCE_REPLACED": (Cause.SOURCE_REPLACED, ""),
        "SOURCE_UNREACHABLE": (Cause.FAILED, "check that the URL answers from the worker's network"),
        "SOURCE_URL_REFUSED": (Cause.FAILED, "check SOURCE_URL_ALLOW and SOURCE_URL_HTTP"),
        "TOO_LARGE": (Cause.FAILED, "check SOURCE_MAX_BYTES, or send a smaller file"),
        "DURATION": (Cause.FAILED, "check SOURCE_MAX_DURATION, or send a shorter film"),
        "CLIP": (Cause.FAILED, "start it with times that are in the film"),
        "UNKNOWN_PROFILE": (Cause.FAILED, "finish the roll-out of the workers, then start it again"),
        "RESOURCE_LIMIT": (Cause.FAILED, "check ENCODER_MEMORY_BYTES and WORK_DIR_RESERVE of the worker"),
        "BACKEND_UNAVAILABLE": (Cause.FAILED, "start it again; check S3_ENDPOINT_URL of the worker"),
        "INTERNAL": (Cause.FAILED, "read the log below and that of the worker, then start it again"),
    }
)


def judge(facts: Facts) -> Verdict:
    """Returns the verdict on a video."""
    record = facts.record
    if record is None:
        return Verdict(Cause.DATABASE_UNAVAILABLE, "the database does not answer, so nothing else is known")
    if record.video.deleted_at is not None:
        at = record.video.deleted_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        return Verdict(Cause.DELETED, f"was deleted at {at}")
    found = next(_VERDICTS[record.video.status](facts, record))
    if found.cause in _TIMED and abs(facts.clock_offset) > MAX_CLOCK_OFFSET:
        side = "ahead of" if facts.clock_offset > 0 else "behind"
        gap = duration(abs(facts.clock_offset))
        return Verdict(Cause.CLOCK_SKEW, f"the clock of the API is {gap} {side} the database's")
    return found


#: Causes that a wrong clock explains, and causes that hide it.
_TIMED = {Cause.READY, Cause.UPLOAD_EXPECTED, Cause.UPLOADING, Cause.UPLOAD_EXPIRED}


def _pending(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    if _is_unknown(facts.source):
        yield Verdict(Cause.STORE_UNAVAILABLE, "waits for its upload, and the object store does not answer")
    if _is(facts.source, Presence.PRESENT):
        yield Verdict(Cause.NOT_PROCESSED, "is uploaded, but nobody started its encode")
    if (upload := facts.upload) is not None:
        session, until = upload.session, upload.session.expires_at.strftime("%H:%M:%S UTC")
        stored = "unknown" if upload.stored is None else upload.stored
        parts = f"{stored} of {session.part_count} parts"
        if session.state is UploadState.EXPIRED:
            yield Verdict(Cause.UPLOAD_EXPIRED, f"upload: {parts}, expired {until}")
        if session.state is UploadState.ABORTED:
            yield Verdict(Cause.UPLOAD_ABORTED, "upload: its session was aborted")
        if session.state is UploadState.COMPLETED:
            yield Verdict(Cause.SOURCE_MISSING, "upload: completed, but the source is not in the store")
        yield Verdict(Cause.UPLOADING, f"upload: {parts}, expires {until}")
    until_url = record.upload_url_expires_at
    if until_url is not None and until_url <= record.now:
        age = duration((record.now - until_url).total_seconds())
        yield Verdict(Cause.UPLOAD_EXPIRED, f"nothing was uploaded, and its upload URL expired {age} ago")
    yield Verdict(Cause.UPLOAD_EXPECTED, "waits for its upload")


def _processing(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    encode, queue = record.encode, record.queue
    if encode is None or queue is None:
        yield Verdict(Cause.JOB_LOST, "is PROCESSING without an encode")
        return
    if not facts.is_fetching:
        yield from _without_source(facts, record)
    if queue.jobs == 0:
        yield Verdict(Cause.JOB_LOST, "is PROCESSING, but the queue has no job for it")
    if queue.heartbeat_age is not None and queue.heartbeat_age > SILENT_WORKER:
        silent = duration(queue.heartbeat_age)
        yield Verdict(
            Cause.WORKER_LOST,
            f"its worker {encode.worker or 'is unknown and'} sent no heartbeat for {silent}, "
            "and no other took over",
        )
    waited = (record.now - encode.created_at).total_seconds()
    if queue.heartbeat_age is None and queue.workers == 0 and waited > IDLE_WAIT:
        yield Verdict(Cause.NO_WORKER, f"waits for {duration(waited)}, and no worker encodes anything")
    if encode.chunk_tries >= _FAILING_TRIES:
        yield Verdict(Cause.CHUNK_FAILS, f"a chunk of the film failed {encode.chunk_tries - 1} times")
    if encode.outage_since is not None:
        lasted = duration((record.now - encode.outage_since).total_seconds())
        yield Verdict(Cause.OUTAGE, f"is held up by an outage that began {lasted} ago, and goes on after it")
    if facts.is_fetching:
        yield Verdict(Cause.FETCHING, "its source is being fetched from its URL")
    if encode.waits:
        yield Verdict(Cause.QUEUED, _queued(queue))
    yield Verdict(Cause.ENCODING, _encoding(encode))


def _without_source(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    if _is_unknown(facts.source):
        yield Verdict(Cause.STORE_UNAVAILABLE, "is PROCESSING, and the object store does not answer")
    if _is(facts.source, Presence.ABSENT):
        yield Verdict(Cause.SOURCE_MISSING, "is PROCESSING, but its source is not in the object store")
    declared = record.size_bytes
    if facts.source and declared and facts.source.size != declared:
        yield Verdict(
            Cause.SOURCE_REPLACED,
            f"its source has {facts.source.size} bytes instead of the declared {declared}",
        )


def _queued(queue: QueueRecord) -> str:
    ahead = f"{queue.ahead} encode{'' if queue.ahead == 1 else 's'} before it"
    workers = f"{queue.workers} worker{'' if queue.workers == 1 else 's'}"
    if queue.seconds_each is None or queue.workers == 0:
        return f"waits: {ahead}, {workers}"
    rounds = queue.ahead // queue.workers + 1
    return f"waits: {ahead}, {workers}, ~{duration(rounds * queue.seconds_each)}"


def _encoding(encode: EncodeRecord) -> str:
    chunks = f", {encode.chunks_done} of {encode.chunks} chunks" if encode.chunks else ""
    worker = f" by {encode.worker}" if encode.worker else ""
    return f"is encoded{worker}: {encode.stage} {encode.percent:.0f} %{chunks}"


def _failed(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    failure = record.video.failure
    if failure is None:
        yield Verdict(Cause.FAILED, "failed", "read the log of the worker")
        return
    cause, advice = _FAILURES.get(failure.code, (Cause.FAILED, _UNREADABLE))
    at = f" at {failure.stage}" if failure.stage else ""
    yield Verdict(cause, f"failed{at}: {failure.code}: {failure.message}", advice)


def _cancelled(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    yield Verdict(Cause.CANCELLED, "was cancelled")


def _ready(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    if _is_unknown(facts.master) or _is_unknown(facts.gate):
        yield Verdict(Cause.STORE_UNAVAILABLE, "is READY, and the object store does not answer")
    if _is(facts.master, Presence.ABSENT):
        yield Verdict(Cause.MASTER_MISSING, "is READY, but its master playlist is not in the object store")
    if record.video.playback_policy is not PlaybackPolicy.OFF and _is(facts.gate, Presence.ABSENT):
        yield Verdict(
            Cause.GATE_MISSING, "is READY, but its gate is not in the object store: edges refuse it"
        )
    if facts.edge is not None:
        yield from _at_edge(facts.edge)
    yield from _in_caches(facts, record)
    if failed := [track for track in record.tracks if track.state == "FAILED"]:
        yield Verdict(Cause.TRACK_FAILED, f"is READY, but {len(failed)} of its added tracks failed")
    if record.video.playback_policy is PlaybackPolicy.OFF:
        yield Verdict(Cause.OFF, "is READY; its policy lets nobody play it")
    yield Verdict(Cause.READY, "is READY and plays" if facts.edge else "is READY; only signed URLs play it")


_AT_EDGE: Mapping[EdgeAnswer, tuple[Cause, str]] = MappingProxyType(
    {
        EdgeAnswer.UNREACHABLE: (Cause.EDGE_UNREACHABLE, "the edge does not answer"),
        EdgeAnswer.REFUSED: (Cause.EDGE_REFUSES, "the edge answers {}"),
        EdgeAnswer.BROKEN: (Cause.EDGE_BROKEN, "the edge answers {}"),
        EdgeAnswer.NO_PLAYLIST: (Cause.EDGE_WRONG, "CDN_BASE_URL answers {} without a playlist"),
        EdgeAnswer.OTHER: (Cause.EDGE_STALE, "the edge has another playlist than the object store"),
    }
)


def _at_edge(edge: Edge) -> Iterator[Verdict]:
    if edge.answer in _AT_EDGE:
        cause, text = _AT_EDGE[edge.answer]
        yield Verdict(cause, f"is READY, but {text.format(edge.status)}")


def _in_caches(facts: Facts, record: VideoRecord) -> Iterator[Verdict]:
    if not facts.has_bus:
        yield Verdict(Cause.REDIS_UNAVAILABLE, "is READY and plays; Redis does not answer the API")
    if record.unannounced and record.unannounced_for > ANNOUNCED_WITHIN:
        age = duration(record.unannounced_for)
        yield Verdict(Cause.CACHE_BEHIND, f"is READY, but caches do not know it since {age}")
    if facts.served_version is not None and facts.served_version < record.video.version:
        yield Verdict(
            Cause.CACHE_BEHIND,
            f"is READY at version {record.video.version}, but clients get {facts.served_version}",
        )


def _is(seen: Seen | None, presence: Presence) -> bool:
    return seen is not None and seen.presence is presence


def _is_unknown(seen: Seen | None) -> bool:
    return _is(seen, Presence.UNKNOWN)


_VERDICTS: Mapping[VideoStatus, Callable[[Facts, VideoRecord], Iterator[Verdict]]] = MappingProxyType(
    {
        VideoStatus.PENDING_UPLOAD: _pending,
        VideoStatus.PROCESSING: _processing,
        VideoStatus.READY: _ready,
        VideoStatus.FAILED: _failed,
        VideoStatus.CANCELLED: _cancelled,
    }
)
