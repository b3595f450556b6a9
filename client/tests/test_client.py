import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2

from gostream.v1 import video_pb2
from gostream_client import (
    AsyncClient,
    BackendUnavailableError,
    DeadlineExceededError,
    FieldInvalidError,
    FieldViolation,
    GoStreamError,
    InvalidInputError,
    QuotaExceededError,
    RateLimitedError,
    TokenInvalidError,
    UnreachableError,
    VideoNotFoundError,
)
from gostream_client.connection.target import dial_target
from tests.support.fake_server import VIDEO_ID, Api, ApiServer, Refusal, serve_api, video

UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "the database does not answer", "BACKEND_UNAVAILABLE")


async def test_every_call_has_its_own_deadline(server: ApiServer) -> None:
    async with AsyncClient(server.address) as client:
        await client.get_video(VIDEO_ID)
        await client.list_videos_page()
        await client.trigger_process(VIDEO_ID)
        await client.delete_video(VIDEO_ID)
    for remaining, wanted in zip(server.api.deadlines, (2, 5, 10, 10), strict=True):
        assert remaining is not None
        assert 0 < remaining <= wanted + 0.1
    assert (server.api.deadlines[3] or 0) > 5


async def test_timeout_replaces_the_deadline_and_is_named(server: ApiServer) -> None:
    async with AsyncClient(server.address, timeout=60) as client:
        await client.get_video(VIDEO_ID)
    assert (server.api.deadlines[0] or 0) > 30
    server.api.delay = 30
    async with AsyncClient(server.address, timeout=0.2) as client:
        with pytest.raises(DeadlineExceededError, match="did not answer in time"):
            await client.get_video(VIDEO_ID)


async def test_unavailable_is_retried_for_idempotent_calls(client: AsyncClient, server: ApiServer) -> None:
    server.api.refusals.append(UNAVAILABLE)
    await client.get_video(VIDEO_ID)
    server.api.refusals.append(UNAVAILABLE)
    await client.trigger_process(VIDEO_ID)
    first, second = server.api.requests[2:]
    assert first.request_id == second.request_id != ""


async def test_delete_is_not_retried(client: AsyncClient, server: ApiServer) -> None:
    server.api.refusals.append(UNAVAILABLE)
    with pytest.raises(BackendUnavailableError, match="the database does not answer") as caught:
        await client.delete_video(VIDEO_ID)
    assert len(server.api.requests) == 1
    assert caught.value.reason == "BACKEND_UNAVAILABLE"


async def test_error_keeps_message_reason_and_request_id(client: AsyncClient, server: ApiServer) -> None:
    server.api.refusals.append(Refusal(grpc.StatusCode.NOT_FOUND, "video x was not found", "VIDEO_NOT_FOUND"))
    with pytest.raises(VideoNotFoundError) as caught:
        await client.get_video(VIDEO_ID)
    assert str(caught.value) == "video x was not found (VIDEO_NOT_FOUND, request id req-7)"
    assert (caught.value.code, caught.value.retry_after) == ("NOT_FOUND", None)


async def test_error_has_the_delay_of_a_rate_limit(client: AsyncClient, server: ApiServer) -> None:
    wait = error_details_pb2.RetryInfo()
    wait.retry_delay.FromMilliseconds(2500)
    exceeded = error_details_pb2.QuotaFailure.Violation(subject="videos", description="at most 5")
    quota = error_details_pb2.QuotaFailure(violations=[exceeded])
    for reason, detail in (("RATE_LIMITED", wait), ("QUOTA_EXCEEDED", quota)):
        server.api.refusals.append(
            Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "this owner has …", reason, (detail,))
        )
    with pytest.raises(RateLimitedError) as limited:
        await client.get_video(VIDEO_ID)
    assert limited.value.retry_after == 2.5
    with pytest.raises(QuotaExceededError, match="this owner has") as refused:
        await client.get_video(VIDEO_ID)
    assert refused.value.retry_after is None
    assert refused.value.violations == (FieldViolation("videos", "at most 5"),)


async def test_all_invalid_fields_are_named(client: AsyncClient, server: ApiServer) -> None:
    bad = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="title", description="is empty"),
            error_details_pb2.BadRequest.FieldViolation(field="user_id", description="is too long"),
        ]
    )
    server.api.refusals.append(
        Refusal(grpc.StatusCode.INVALID_ARGUMENT, "title: is empty; …", "FIELD_INVALID", (bad,))
    )
    with pytest.raises(FieldInvalidError, match="title: is empty; user_id: is too long") as caught:
        await client.get_video(VIDEO_ID)
    assert caught.value.violations == (
        FieldViolation("title", "is empty"),
        FieldViolation("user_id", "is too long"),
    )


async def test_codes_without_a_reason_are_named(client: AsyncClient, server: ApiServer) -> None:
    server.api.refusals.append(Refusal(grpc.StatusCode.UNAUTHENTICATED, "no token"))
    with pytest.raises(TokenInvalidError, match="no token"):
        await client.get_video(VIDEO_ID)
    server.api.refusals.append(Refusal(grpc.StatusCode.DATA_LOSS, ""))
    with pytest.raises(GoStreamError, match=r"no explanation .*DATA_LOSS"):
        await client.get_video(VIDEO_ID)


async def test_listing_reads_every_page(client: AsyncClient, server: ApiServer) -> None:
    server.api.videos = [video(version=n + 1) for n in range(250)]
    found = [v.version async for v in client.list_videos(status="ready", page_size=100)]
    assert found == list(range(1, 251))
    assert [r.page_token for r in server.api.requests] == ["", "100", "200"]
    assert {r.status for r in server.api.requests} == {video_pb2.Video.STATUS_READY}


async def test_unknown_names_are_refused_before_any_call(client: AsyncClient, server: ApiServer) -> None:
    with pytest.raises(InvalidInputError, match="is none of: pending_upload, processing"):
        await client.list_videos_page(status="redy")
    with pytest.raises(InvalidInputError, match="is none of: public, signed, off"):
        await client.update_video(VIDEO_ID, policy="private")
    assert server.api.requests == []


async def test_calls_rotate_over_several_servers(server: ApiServer) -> None:
    async with (
        serve_api(Api()) as other,
        AsyncClient(f"{server.address}, {other.address}", timeout=60) as client,
        asyncio.timeout(300),
    ):
        while not (server.api.requests and other.api.requests):
            await client.get_video(VIDEO_ID)


async def test_not_serving_server_gets_no_calls(server: ApiServer) -> None:
    async with serve_api(Api()) as draining:
        await draining.health.set("gostream.v1.VideoService", health_pb2.HealthCheckResponse.NOT_SERVING)
        async with AsyncClient(f"{server.address},{draining.address}", timeout=60) as client:
            for _ in range(20):
                await client.get_video(VIDEO_ID)
        assert len(server.api.requests) == 20
        assert draining.api.requests == []


async def test_unreachable_server_is_named_with_its_address() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(UnreachableError, match=r"no GoStream server answers at 127\.0\.0\.1:1"):
            await client.get_video(VIDEO_ID)


@pytest.mark.parametrize(
    ("server", "target"),
    [
        ("localhost:50051", "dns:///localhost:50051"),
        ("[::1]:50051", "dns:///[::1]:50051"),
        ("127.0.0.1:1,127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("localhost:1, 127.0.0.2:2,", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
    ],
)
def test_server_lists_become_grpc_targets(server: str, target: str) -> None:
    assert dial_target(server) == target


@pytest.mark.parametrize(
    "server",
    ["", ",", "localhost", "localhost:", ":1", "a:0", "a:65536", "http://a:80", "127.0.0.1:1,[::1]:2"],
)
def test_invalid_server_is_a_usage_error(server: str) -> None:
    with pytest.raises(InvalidInputError):
        dial_target(server)
