"""Errors as clients see them, from a real server whose read path raises a given error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from gostream.v1.error_reason_pb2 import ErrorReason
from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.principal import Principal
from gostream_api.reads.ports import Layer, Read, VideoReply
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import VideoServicer, method_handlers
from gostream_api.rpc.validation import SizeRule
from gostream_api.videos.video_service import VideoService
from gostream_api.videos.watch import WatchService
from gostream_shared.domain import errors
from gostream_shared.domain.companions import errors as companions
from gostream_shared.domain.errors import GoStreamError, Violation

GET = "/gostream.v1.VideoService/GetVideo"
ID = UUID("01890000-0000-7000-8000-000000000001")
REQUEST = GetVideoRequest(id=str(ID))


class Reader:
    """A scripted read path."""

    def __init__(self) -> None:
        self.act: Callable[[], Awaitable[None]] = self.nothing

    async def nothing(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        async def act() -> None:
            raise error

        self.act = act

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        await self.act()
        return Read(VideoReply(1, b""), Layer.L1)

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        await self.act()
        return {}


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def address(reader: Reader) -> AsyncIterator[str]:
    watches = WatchService(database=cast("Any", None), events=cast("Any", None))
    servicer = VideoServicer(
        videos=cast("VideoService", None),
        deletions=cast("Any", None),
        ingest=cast("Any", None),
        reads=reader,
        watches=watches,
        playback=cast("Any", None),
        cdn_base_url="",
        sizes=SizeRule(most=1, required=True),
    )
    server = ApiServer(method_handlers(servicer), watches, max_calls=2, max_streams=2)
    yield f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
    await server.stop(delay=timedelta(0), grace=timedelta(0))


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(channel: aio.Channel) -> Any:
    return VideoServiceStub(channel)


ROWS: list[tuple[GoStreamError, grpc.StatusCode, str, set[str]]] = [
    (errors.UnauthenticatedError("expired"), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", set()),
    (errors.ScopeMissingError("videos:write"), grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING", set()),
    (
        errors.InvalidRequestError(Violation("title", "x"), Violation("id", "y")),
        grpc.StatusCode.INVALID_ARGUMENT,
        "FIELD_INVALID",
        {"BadRequest"},
    ),
    (
        errors.PageTokenInvalidError(),
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        {"BadRequest"},
    ),
    (
        companions.ResumeTokenInvalidError(),
        grpc.StatusCode.INVALID_ARGUMENT,
        "FIELD_INVALID",
        {"BadRequest"},
    ),
    (companions.WebhookNotFoundError(ID), grpc.StatusCode.NOT_FOUND, "WEBHOOK_NOT_FOUND", set()),
    (companions.ResumeTokenExpiredError(), grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED", set()),
    (
        errors.RequestIdReusedError("r"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
        {"BadRequest"},
    ),
    (errors.VideoNotFoundError(ID), grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND", {"ResourceInfo"}),
    (errors.OthersVideoError(ID), grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND", {"ResourceInfo"}),
    (errors.VideosNotFoundError(ID), grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND", {"ResourceInfo"}),
    (
        errors.AlreadyProcessingError(ID),
        grpc.StatusCode.FAILED_PRECONDITION,
        "ALREADY_PROCESSING",
        {"PreconditionFailure"},
    ),
    (
        errors.NotProcessingError(ID),
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOT_PROCESSING",
        {"PreconditionFailure"},
    ),
    (
        errors.SourceNotUploadedError(ID),
        grpc.StatusCode.FAILED_PRECONDITION,
        "SOURCE_NOT_UPLOADED",
        {"PreconditionFailure"},
    ),
    (
        errors.SourceUrlRefusedError("must begin with https://"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "SOURCE_URL_REFUSED",
        {"BadRequest"},
    ),
    (
        errors.SourceUnreachableError(),
        grpc.StatusCode.FAILED_PRECONDITION,
        "SOURCE_UNREACHABLE",
        {"PreconditionFailure"},
    ),
    (
        errors.UploadClosedError(ID),
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPLOAD_CLOSED",
        {"PreconditionFailure"},
    ),
    (
        errors.UploadExpiredError(ID),
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPLOAD_EXPIRED",
        {"PreconditionFailure"},
    ),
    (
        errors.UploadIncompleteError(ID, [2, 3]),
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPLOAD_INCOMPLETE",
        {"PreconditionFailure"},
    ),
    (
        errors.SourceTooLargeError(ID, size_bytes=2, limit_bytes=1),
        grpc.StatusCode.FAILED_PRECONDITION,
        "SOURCE_TOO_LARGE",
        {"PreconditionFailure"},
    ),
    (
        errors.VersionNotReachedError(ID, version=1, min_version=2),
        grpc.StatusCode.FAILED_PRECONDITION,
        "VERSION_NOT_REACHED",
        {"PreconditionFailure"},
    ),
    (errors.EtagMismatchError(ID), grpc.StatusCode.ABORTED, "ETAG_MISMATCH", set()),
    (errors.ExternalIdInUseError(), grpc.StatusCode.ALREADY_EXISTS, "EXTERNAL_ID_IN_USE", set()),
    (
        errors.TrackNotFoundError(ID, ID),
        grpc.StatusCode.NOT_FOUND,
        "TRACK_NOT_FOUND",
        {"ResourceInfo"},
    ),
    (
        errors.TooManyTracksError(ID, 16),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
        {"QuotaFailure"},
    ),
    (errors.VideoNotDeletedError(ID), grpc.StatusCode.ALREADY_EXISTS, "VIDEO_NOT_DELETED", set()),
    (errors.QueueFullError(), grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", {"RetryInfo"}),
    (
        errors.RateLimitedError("writes", retry_after=2),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        {"RetryInfo"},
    ),
    (
        errors.QuotaExceededError("corp:ann", "videos", 5),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
        {"QuotaFailure"},
    ),
    (errors.TooManyRequestsError(), grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS", {"RetryInfo"}),
    (
        errors.BackendUnavailableError("database"),
        grpc.StatusCode.UNAVAILABLE,
        "BACKEND_UNAVAILABLE",
        {"RetryInfo"},
    ),
    (
        errors.BackendRefusedError("database", "role has no rights"),
        grpc.StatusCode.UNAVAILABLE,
        "BACKEND_UNAVAILABLE",
        {"RetryInfo"},
    ),
    (errors.ServerStoppingError(), grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", {"RetryInfo"}),
]


@pytest.mark.parametrize(("error", "code", "reason", "details"), ROWS, ids=[row[2] for row in ROWS])
async def test_domain_error_has_code_reason_and_details(
    reader: Reader,
    stub: Any,
    refused: Any,
    error: GoStreamError,
    code: grpc.StatusCode,
    reason: str,
    details: set[str],
) -> None:
    reader.fail(error)

    refusal = await refused(stub.GetVideo(REQUEST))

    assert (refusal.code, refusal.reason, set(refusal.details)) == (code, reason, details)
    assert refusal.message == str(error)
    assert f"ERROR_REASON_{reason}" in ErrorReason.keys()  # noqa: SIM118 - not a dict
    assert refusal.info.metadata.get("video_id") == (str(ID) if hasattr(error, "video_id") else None)


async def test_all_violations_are_listed(reader: Reader, stub: Any, refused: Any) -> None:
    reader.fail(errors.InvalidRequestError(Violation("title", "x"), Violation("id", "y")))

    refusal = await refused(stub.GetVideo(REQUEST))

    violations = refusal.details["BadRequest"].field_violations
    assert [(v.field, v.description) for v in violations] == [("title", "x"), ("id", "y")]


def test_every_domain_error_is_in_the_table() -> None:
    in_the_table = {type(error) for error, *_ in ROWS}
    raised = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, GoStreamError) and not kind.__subclasses__()
    }

    # The first occurs only in workers; the second stops the start, before clients connect.
    assert raised - in_the_table == {errors.FenceLostError, errors.MisconfiguredError}


async def test_retryable_errors_carry_a_retry_delay(reader: Reader, stub: Any, refused: Any) -> None:
    reader.fail(errors.BackendUnavailableError("database"))

    waits = set()
    for _ in range(8):
        refusal = await refused(stub.GetVideo(REQUEST))
        delay = refusal.details["RetryInfo"].retry_delay.ToMilliseconds()
        assert refusal.trailers["grpc-retry-pushback-ms"] == str(delay)
        waits.add(delay)

    assert all(750 <= wait <= 1250 for wait in waits)
    assert len(waits) > 1  # delays are spread


async def test_retrying_client_honours_the_pushback(reader: Reader, address: str) -> None:
    calls = 0

    async def fail_once() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise errors.ServerStoppingError

    reader.act = fail_once
    config = """{"methodConfig": [{"name": [{"service": "gostream.v1.VideoService"}], "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "100s", "maxBackoff": "100s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
    async with aio.insecure_channel(address, options=[("grpc.service_config", config)]) as patient:
        await VideoServiceStub(patient).GetVideo(REQUEST, timeout=60)

    assert calls == 2


async def test_unexpected_error_is_masked_and_logged(reader: Reader, stub: Any, refused: Any) -> None:
    reader.fail(RuntimeError("password=hunter2 in relation videos"))

    with capture_logs() as logs:
        refusal = await refused(stub.GetVideo(REQUEST))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert refusal.message == "internal error; quote the request id"
    assert "hunter2" not in repr(refusal)
    assert refusal.details["RequestInfo"].request_id == refusal.trailers["x-request-id"]
    assert "unexpected error" in [log["event"] for log in logs]


def raw(channel: aio.Channel, method: str) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """The method as a raw bytes call."""
    return channel.unary_unary(method)


async def test_malformed_request_is_an_invalid_argument(channel: aio.Channel, refused: Any) -> None:
    for garbage in (b"\xff", b"\x0a\x05ab", b"\x0a\x02\xc3\x28"):  # bad tag, cut short, not UTF-8
        refusal = await refused(raw(channel, GET)(garbage))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")


async def test_excess_calls_are_refused_except_health_checks(
    reader: Reader, stub: Any, refused: Any, channel: aio.Channel
) -> None:
    release, both_at_work = asyncio.Event(), asyncio.Barrier(3)

    async def hang() -> None:
        await both_at_work.wait()
        await release.wait()

    reader.act = hang
    busy = [asyncio.ensure_future(stub.GetVideo(REQUEST)) for _ in range(2)]
    await asyncio.wait_for(both_at_work.wait(), 300)

    refusal = await refused(stub.GetVideo(REQUEST))
    health = await raw(channel, "/grpc.health.v1.Health/Check")(b"")
    release.set()
    await asyncio.gather(*busy)

    assert refusal.reason == "TOO_MANY_REQUESTS"
    assert health == b"\x08\x01"  # SERVING
    reader.act = reader.nothing
    await stub.GetVideo(REQUEST)  # a slot is free again


async def test_unknown_method_is_unimplemented(channel: aio.Channel) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await raw(channel, "/gostream.v1.VideoService/Rewind")(b"")

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_request_above_one_mebibyte_is_refused(channel: aio.Channel) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await raw(channel, GET)(b"x" * (1024 * 1024 + 1))

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
