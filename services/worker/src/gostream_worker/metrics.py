"""Prometheus metrics of the worker."""

from prometheus_client import Counter, Gauge, Histogram

from gostream_shared.observability.tracing import spans

JOBS = Counter("gostream_worker_jobs_total", "Jobs that ended, by outcome.", ["kind", "outcome"])
JOBS_WAITING = Gauge(
    "gostream_worker_jobs_waiting", "Jobs of the queue that may start and have not, by kind.", ["kind"]
)
LONGEST_WAIT = Gauge(
    "gostream_worker_longest_wait_seconds", "Seconds that the oldest of these jobs waits, by kind.", ["kind"]
)
ATTEMPTS = Counter("gostream_worker_attempts_total", "Attempts that began.")
IN_FLIGHT = Gauge(
    "gostream_worker_in_flight", "Encodes in progress: planned, or encoded by this worker alone."
)
CHUNKS_IN_FLIGHT = Gauge("gostream_worker_chunks_in_flight", "Chunks of films that are being encoded.")
CHUNK_SECONDS = Histogram(
    "gostream_worker_chunk_seconds",
    "Seconds from the claim of a chunk to its last segment in the store.",
    buckets=(1, 2, 5, 10, 20, 60, 120, 300, 600, 1800),
)
FINISHING = Gauge("gostream_worker_finishing", "Films in chunks that are being published.")
FINISH_SECONDS = Histogram(
    "gostream_worker_finish_seconds",
    "Seconds from the claim of the last step of a film in chunks to READY.",
    buckets=(0.5, 1, 2, 5, 10, 20, 60),
)
FAILURES = Counter("gostream_worker_failures_total", "Failed attempts, by code.", ["code"])
ENCODE_SECONDS = Histogram(
    "gostream_worker_encode_seconds",
    "Seconds from the claim to READY, of films that one worker encodes.",
    buckets=(1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200),
)
ENCODER_SPEED = Histogram(
    "gostream_worker_encoder_speed",
    "Media seconds encoded per second.",
    buckets=(0.25, 0.5, 1, 2, 4, 8, 16, 32),
)
FETCHING = Gauge("gostream_worker_fetches_in_flight", "Sources that are being fetched from URLs.")
FETCH_SECONDS = Histogram(
    "gostream_worker_fetch_seconds",
    "Seconds from the claim of a source to its last byte in the store.",
    buckets=(1, 5, 20, 60, 300, 1200, 3600, 7200),
)
FETCHED_BYTES = Counter("gostream_worker_fetched_bytes_total", "Bytes fetched from URLs of sources.")
WEBHOOK_DELIVERIES = Counter(
    "gostream_worker_webhook_deliveries_total",
    "Tries to deliver an event to a webhook, by outcome: delivered, failed, dead.",
    ["outcome"],
)
WEBHOOK_SECONDS = Histogram(
    "gostream_worker_webhook_seconds",
    "Seconds until a receiver has answered.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
HAS_ROOM = Gauge(
    "gostream_worker_has_room", "1 while WORK_DIR has space for an encode; at 0 no job is claimed."
)
UPLOADED_BYTES = Counter("gostream_worker_uploaded_bytes_total", "Bytes put into the object store.")
REMOVED_OBJECTS = Counter("gostream_worker_removed_objects_total", "Objects removed from the store.")
ABANDONED_VIDEOS = Counter(
    "gostream_worker_abandoned_videos_total", "Videos deleted because their upload was not finished."
)
EXPIRED_VIDEOS = Counter(
    "gostream_worker_expired_videos_total", "Videos deleted because their expire_time has passed."
)
ORPHANED_UPLOADS = Counter(
    "gostream_worker_orphaned_uploads_total", "Multipart uploads removed because they had no open session."
)
GATES_WAITING = Gauge(
    "gostream_worker_gate_changes_waiting", "Changes of videos whose gates were not examined yet."
)
EDGE_REFRESHES = Counter(
    "gostream_worker_edge_refreshes_total", "Refreshes of the edge, by outcome.", ["outcome"]
)
SANDBOX = Gauge(
    "gostream_worker_sandbox_info",
    "1; the confinement of the children that read sources.",
    ["landlock_abi", "seccomp"],
)

#: Outcomes of deliveries that did not do their work.
_BAD = frozenset({"failed", "retried", "outage", "planned anew", "postponed"})


def count_job(kind: str, outcome: str) -> None:
    """Count the end of a delivery, and tell it to the current span."""
    JOBS.labels(kind, outcome).inc()
    spans.annotate(gostream__job__outcome=outcome, error=outcome if outcome in _BAD else "")


def count_failure(code: str) -> None:
    """Count a failed attempt, and tell its code to the current span."""
    FAILURES.labels(code).inc()
    spans.annotate(gostream__job__failure=code)
