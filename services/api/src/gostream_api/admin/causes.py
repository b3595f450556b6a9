"""The causes that a verdict names, each with what helps."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class State(enum.Enum):
    """Whether somebody has to act. The names are those of the API's enum without the prefix."""

    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"


class Cause(enum.StrEnum):
    """Why a video is in its state. The names are part of the API."""

    READY = "READY"
    OFF = "OFF"
    DELETED = "DELETED"
    CANCELLED = "CANCELLED"
    UPLOAD_EXPECTED = "UPLOAD_EXPECTED"
    UPLOADING = "UPLOADING"
    FETCHING = "FETCHING"
    QUEUED = "QUEUED"
    ENCODING = "ENCODING"
    OUTAGE = "OUTAGE"
    UPLOAD_EXPIRED = "UPLOAD_EXPIRED"
    UPLOAD_ABORTED = "UPLOAD_ABORTED"
    NOT_PROCESSED = "NOT_PROCESSED"
    SOURCE_MISSING = "SOURCE_MISSING"
    SOURCE_REPLACED = "SOURCE_REPLACED"
    NO_WORKER = "NO_WORKER"
    WORKER_LOST = "WORKER_LOST"
    JOB_LOST = "JOB_LOST"
    CHUNK_FAILS = "CHUNK_FAILS"
    FAILED = "FAILED"
    MASTER_MISSING = "MASTER_MISSING"
    GATE_MISSING = "GATE_MISSING"
    EDGE_UNREACHABLE = "EDGE_UNREACHABLE"
    EDGE_REFUSES = "EDGE_REFUSES"
    EDGE_BROKEN = "EDGE_BROKEN"
    EDGE_WRONG = "EDGE_WRONG"
    EDGE_STALE = "EDGE_STALE"
    CACHE_BEHIND = "CACHE_BEHIND"
    REDIS_UNAVAILABLE = "REDIS_UNAVAILABLE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    CLOCK_SKEW = "CLOCK_SKEW"
    TRACK_FAILED = "TRACK_FAILED"


_GOOD = {Cause.READY, Cause.OFF, Cause.DELETED, Cause.CANCELLED}
_WAITING = {
    Cause.UPLOAD_EXPECTED,
    Cause.UPLOADING,
    Cause.FETCHING,
    Cause.QUEUED,
    Cause.ENCODING,
    Cause.OUTAGE,
}

_ADVICE: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.OFF: "allow playback with UpdateVideo (playback_policy)",
        Cause.DELETED: "gostream undelete takes it back until its objects are removed",
        Cause.CANCELLED: "gostream process starts it again",
        Cause.UPLOAD_EXPECTED: "the client has to send the file to the upload URL",
        Cause.UPLOADING: "the client goes on with GetUpload and SignParts; stored parts stay",
        Cause.OUTAGE: "look at the log of the worker and at its disk, the object store and the database",
        Cause.UPLOAD_EXPIRED: "upload the file again; UPLOAD_TTL and UPLOAD_URL_TTL give clients more time",
        Cause.UPLOAD_ABORTED: "upload the file again",
        Cause.NOT_PROCESSED: "gostream process starts it; clients call TriggerProcess after the upload",
        Cause.SOURCE_MISSING: "upload the file again; look for what removes objects below uploads/",
        Cause.SOURCE_REPLACED: "encode it again, and let nobody write to uploads/ besides upload URLs",
        Cause.NO_WORKER: "start a gostream-worker, or read its log: DATABASE_URL, S3_ENDPOINT_URL, WORK_DIR",
        Cause.WORKER_LOST: "start another gostream-worker; it takes the job over within JOB_LEASE",
        Cause.JOB_LOST: "cancel the encode and start it again: gostream cancel, gostream process",
        Cause.CHUNK_FAILS: "read the log below; after its last try the video fails",
        Cause.MASTER_MISSING: "encode it again: gostream process; look for what removes objects below hls/",
        Cause.GATE_MISSING: "start a gostream-worker, which writes gates; they need write access to gate/",
        Cause.EDGE_UNREACHABLE: "check CDN_BASE_URL of the API, and that the API reaches the edge there",
        Cause.EDGE_REFUSES: "compare EDGE_ORIGIN_SECRET of the edge with the policy of the bucket, "
        "and EDGE_BUCKET with S3_BUCKET",
        Cause.EDGE_BROKEN: "check EDGE_ORIGIN of the edge, and whether the object store answers it",
        Cause.EDGE_WRONG: "check CDN_BASE_URL of the API: another server answers there",
        Cause.EDGE_STALE: "wait a minute; then check CDN_REFRESH_URL and CDN_REFRESH_SECRET of the worker",
        Cause.CACHE_BEHIND: "check REDIS_HOST and REDIS_PASSWORD of the API and of the worker",
        Cause.REDIS_UNAVAILABLE: "check REDIS_HOST and REDIS_PASSWORD of the API; reads are right but slower",
        Cause.DATABASE_UNAVAILABLE: "check DATABASE_URL of the API, and that PostgreSQL accepts connections",
        Cause.STORE_UNAVAILABLE: "check S3_ENDPOINT_URL, S3_ACCESS_KEY and S3_SECRET_KEY of the API",
        Cause.CLOCK_SKEW: "synchronise the clocks of the API and of the database by NTP",
        Cause.TRACK_FAILED: "see the track below; delete it and add it again",
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a video is in its state, in one sentence."""

    cause: Cause
    sentence: str
    #: Instead of the usual advice of the cause.
    better_advice: str = ""

    @property
    def state(self) -> State:
        if self.cause in _GOOD:
            return State.GOOD
        return State.WAITING if self.cause in _WAITING else State.BAD

    @property
    def advice(self) -> str:
        """What helps; empty if nothing is needed."""
        return self.better_advice or _ADVICE.get(self.cause, "")
