"""The decision on a video: facts in, verdict out, for every planted fault."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from gostream_api.admin.causes import Cause, State
from gostream_api.admin.facts import Edge, EdgeAnswer, Facts, Presence, Seen, Upload
from gostream_api.admin.listing import lines
from gostream_api.admin.verdict import judge
from gostream_shared.domain.companions.explanations import (
    EncodeRecord,
    QueueRecord,
    RemoteRecord,
    TrackRecord,
    VideoRecord,
)
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.uploads import UploadSession, UploadState
from gostream_shared.domain.video import Failure, Video, VideoStatus

ID = UUID(int=7)
NOW = datetime(2027, 1, 1, 14, 0, tzinfo=UTC)
URL = f"http://cdn.test/hls/{ID}/master.m3u8"
PRESENT, ABSENT, UNKNOWN = Seen(Presence.PRESENT, 10), Seen(Presence.ABSENT), Seen(Presence.UNKNOWN)


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def video(status: VideoStatus, **fields: Any) -> Video:
    plain: dict[str, Any] = {
        "id": ID, "user_id": "alice", "title": "Holiday", "status": status, "version": 3,
        "content_type": "video/mp4", "created_at": ago(hours=1), "updated_at": ago(hours=1),
        "encode_number": 1, "attempt": 1,
    }  # fmt: skip
    return Video(**(plain | fields))


def encode(**fields: Any) -> EncodeRecord:
    plain: dict[str, Any] = {
        "number": 1, "profile": "", "worker": "w1", "stage": "encode", "percent": 40.0, "attempt": 1,
        "forgiven": 0, "log_tail": "", "created_at": ago(seconds=5), "started_at": ago(seconds=4),
        "outage_since": None, "chunks_left": None, "chunks_done": 0, "chunks": 0, "chunk_tries": 0,
        "waits": False,
    }  # fmt: skip
    return EncodeRecord(**(plain | fields))


def queue(**fields: Any) -> QueueRecord:
    plain: dict[str, Any] = {
        "ahead": 0, "workers": 1, "jobs": 1, "heartbeat_age": 1.0, "seconds_each": None,
    }  # fmt: skip
    return QueueRecord(**(plain | fields))


def record(status: VideoStatus, of_video: dict[str, Any] | None = None, **fields: Any) -> VideoRecord:
    plain: dict[str, Any] = {
        "now": NOW, "video": video(status, **(of_video or {})), "size_bytes": 10,
        "upload_url_expires_at": None, "encode": None, "queue": None, "remote": None, "tracks": (),
        "unannounced": 0, "unannounced_for": 0.0,
    }  # fmt: skip
    return VideoRecord(**(plain | fields))


def facts(known: VideoRecord | None, **fields: Any) -> Facts:
    plain: dict[str, Any] = {"video_id": ID, "now": NOW, "record": known, "source": PRESENT}
    return Facts(**(plain | fields))


def pending(**fields: Any) -> Facts:
    """A video that waits for its upload."""
    return facts(record(VideoStatus.PENDING_UPLOAD, **fields), source=ABSENT)


def session(state: UploadState = UploadState.OPEN, stored: int | None = 3) -> Upload:
    opened = UploadSession(
        video_id=ID,
        state=state,
        generation=1,
        store_upload_id="u",
        size_bytes=70,
        part_size=10,
        expires_at=NOW + timedelta(minutes=2),
    )
    return Upload(opened, stored)


def processing(
    of_encode: dict[str, Any] | None = None, of_queue: dict[str, Any] | None = None, **rest: Any
) -> Facts:
    return facts(
        record(VideoStatus.PROCESSING, encode=encode(**(of_encode or {})), queue=queue(**(of_queue or {}))),
        **rest,
    )


WAITING = {"waits": True, "worker": "", "stage": "queued", "created_at": ago(minutes=5), "started_at": None}


def ready(
    of_video: dict[str, Any] | None = None, of_record: dict[str, Any] | None = None, **rest: Any
) -> Facts:
    known = record(VideoStatus.READY, of_video, **(of_record or {}))
    plain = {
        "master": PRESENT,
        "gate": PRESENT,
        "edge": Edge(EdgeAnswer.SAME, URL, 200),
        "served_version": 3,
    }
    return facts(known, **(plain | rest))


def edge(answer: EdgeAnswer, status: int = 0) -> Edge:
    return Edge(answer, URL, status)


def failed(code: str) -> Facts:
    failure = Failure(code=code, message="It is damaged.", retryable=False, stage="probe")
    return facts(record(VideoStatus.FAILED, {"failure": failure}))


URL_OF_SOURCE = RemoteRecord(key="", is_fetched=False)
FAILED_TRACK = TrackRecord(id=UUID(int=8), state="FAILED", error_code="UNREADABLE_SUBTITLES")

#: The facts, the cause, and a part of the sentence or of the advice.
CASES: dict[str, tuple[Facts, Cause, str]] = {
    "worker down": (
        processing(WAITING, {"heartbeat_age": None, "workers": 0}), Cause.NO_WORKER, "waits for 5 min",
    ),
    "worker killed": (processing({}, {"heartbeat_age": 500.0}), Cause.WORKER_LOST, "w1"),
    "queue long": (
        processing(WAITING, {"heartbeat_age": None, "ahead": 14, "workers": 2, "seconds_each": 45.0}),
        Cause.QUEUED,
        "waits: 14 encodes before it, 2 workers, ~6 min",
    ),
    "just queued": (
        processing(WAITING | {"created_at": ago(seconds=2)}, {"heartbeat_age": None, "workers": 0}),
        Cause.QUEUED,
        "0 encodes before it",
    ),
    "job lost": (processing(WAITING, {"jobs": 0, "heartbeat_age": None}), Cause.JOB_LOST, "no job"),
    "probing failed": (failed("CORRUPT_STREAM"), Cause.FAILED, "failed at probe: CORRUPT_STREAM"),
    "internal failure": (failed("INTERNAL"), Cause.FAILED, "read the log"),
    "source gone": (failed("SOURCE_GONE"), Cause.SOURCE_MISSING, "upload the file again"),
    "source missing": (processing(source=ABSENT), Cause.SOURCE_MISSING, "not in the object store"),
    "source replaced": (
        processing(source=Seen(Presence.PRESENT, 11)), Cause.SOURCE_REPLACED, "11 bytes instead of",
    ),
    "store down": (processing(source=UNKNOWN), Cause.STORE_UNAVAILABLE, "S3_ENDPOINT_URL"),
    "upload incomplete": (
        replace(pending(), upload=session()), Cause.UPLOADING, "upload: 3 of 7 parts, expires 14:02",
    ),
    "upload expired": (
        replace(pending(), upload=session(UploadState.EXPIRED)), Cause.UPLOAD_EXPIRED, "3 of 7 parts",
    ),
    "upload aborted": (
        replace(pending(), upload=session(UploadState.ABORTED, 0)), Cause.UPLOAD_ABORTED, "aborted",
    ),
    "upload URL expired": (
        pending(upload_url_expires_at=ago(hours=3)), Cause.UPLOAD_EXPIRED, "expired 3 h ago",
    ),
    "upload expected": (
        pending(upload_url_expires_at=NOW + timedelta(hours=1)), Cause.UPLOAD_EXPECTED, "waits",
    ),
    "never processed": (
        replace(pending(), source=PRESENT), Cause.NOT_PROCESSED, "nobody started its encode",
    ),
    "gate missing": (ready(gate=ABSENT, edge=edge(EdgeAnswer.REFUSED, 404)), Cause.GATE_MISSING, "gate"),
    "edge secret wrong": (ready(edge=edge(EdgeAnswer.REFUSED, 403)), Cause.EDGE_REFUSES, "EDGE_ORIGIN_SECR"),
    "edge without a store": (ready(edge=edge(EdgeAnswer.BROKEN, 502)), Cause.EDGE_BROKEN, "EDGE_ORIGIN"),
    "CDN_BASE_URL wrong": (ready(edge=edge(EdgeAnswer.NO_PLAYLIST, 200)), Cause.EDGE_WRONG, "CDN_BASE_URL"),
    "CDN_BASE_URL dead": (ready(edge=edge(EdgeAnswer.UNREACHABLE)), Cause.EDGE_UNREACHABLE, "CDN_BASE_URL"),
    "edge stale": (ready(edge=edge(EdgeAnswer.OTHER, 200)), Cause.EDGE_STALE, "CDN_REFRESH_URL"),
    "database down": (facts(None), Cause.DATABASE_UNAVAILABLE, "DATABASE_URL"),
    "redis down": (ready(has_bus=False), Cause.REDIS_UNAVAILABLE, "REDIS_HOST"),
    "cache behind": (ready(served_version=2), Cause.CACHE_BEHIND, "version 3, but clients get 2"),
    "outbox stuck": (
        ready(of_record={"unannounced": 2, "unannounced_for": 300.0}), Cause.CACHE_BEHIND, "since 5 min",
    ),
    "clock skew": (replace(ready(), now=ago(minutes=10)), Cause.CLOCK_SKEW, "10 min behind"),
    "poisoned chunk": (
        processing({"chunks": 9, "chunks_done": 4, "chunk_tries": 3}), Cause.CHUNK_FAILS, "failed 2 times",
    ),
    "master missing": (
        ready(master=ABSENT, edge=edge(EdgeAnswer.REFUSED, 404)), Cause.MASTER_MISSING, "master playlist",
    ),
    "encoding": (processing({"chunks": 9, "chunks_done": 4}), Cause.ENCODING, "4 of 9 chunks"),
    "outage": (processing({"outage_since": ago(minutes=3)}), Cause.OUTAGE, "3 min ago"),
    "fetching": (
        facts(
            record(VideoStatus.PROCESSING, encode=encode(), queue=queue(), remote=URL_OF_SOURCE),
            source=ABSENT,
        ),
        Cause.FETCHING,
        "from its URL",
    ),
    "track failed": (ready(of_record={"tracks": (FAILED_TRACK,)}), Cause.TRACK_FAILED, "1 of its"),
    "off": (
        ready({"playback_policy": PlaybackPolicy.OFF}, gate=None, edge=None), Cause.OFF, "nobody play it",
    ),
    "signed": (
        ready({"playback_policy": PlaybackPolicy.SIGNED}, edge=None), Cause.READY, "only signed URLs",
    ),
    "ready": (ready(), Cause.READY, "is READY and plays"),
    "cancelled": (facts(record(VideoStatus.CANCELLED)), Cause.CANCELLED, "gostream process"),
    "deleted": (ready({"deleted_at": ago(hours=2)}), Cause.DELETED, "12:00:00"),
}  # fmt: skip

_GOOD = {"off", "signed", "ready", "cancelled", "deleted"}
_WAITING = {
    "queue long", "just queued", "upload incomplete", "upload expected", "encoding", "outage", "fetching",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_verdict_names_the_planted_fault(name: str) -> None:
    given, cause, part = CASES[name]
    verdict = judge(given)

    assert verdict.cause is cause
    assert part in f"{verdict.sentence}; {verdict.advice}"
    wanted = State.GOOD if name in _GOOD else State.WAITING if name in _WAITING else State.BAD
    assert verdict.state is wanted


@pytest.mark.parametrize("name", CASES)
def test_bad_verdicts_give_advice(name: str) -> None:
    verdict = judge(CASES[name][0])

    assert verdict.advice or verdict.state is not State.BAD


def test_every_cause_has_a_case() -> None:
    assert {cause for _, cause, _ in CASES.values()} == set(Cause)


@pytest.mark.parametrize("name", sorted(set(CASES) - _GOOD - _WAITING - {"worker down", "never processed"}))
def test_bad_verdicts_mark_a_fact(name: str) -> None:
    assert any(line.is_bad for line in lines(CASES[name][0]))


@pytest.mark.parametrize("name", sorted(_GOOD | _WAITING - {"outage"}))
def test_good_verdicts_mark_no_fact(name: str) -> None:
    assert [line for line in lines(CASES[name][0]) if line.is_bad] == []


def test_missing_master_comes_before_its_consequences() -> None:
    """A missing master makes the edge refuse: only the first is the cause."""
    given = ready(master=ABSENT, gate=ABSENT, edge=edge(EdgeAnswer.REFUSED, 404), has_bus=False)

    assert judge(given).cause is Cause.MASTER_MISSING


def test_small_clock_offsets_are_no_fault() -> None:
    assert judge(replace(ready(), now=ago(seconds=50))).cause is Cause.READY
