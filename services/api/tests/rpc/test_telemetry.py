"""Request ids, logs and metrics of every RPC."""

import asyncio
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gostream.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest, TriggerProcessRequest
from gostream_shared.db.database import PostgresDatabase

SERVICE = "/gostream.v1.VideoService"


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Log records from DEBUG on."""
    logger = logging.getLogger("gostream.rpc")
    logger.setLevel(logging.DEBUG)
    with capture_logs() as captured:
        yield captured
    logger.setLevel(logging.NOTSET)


def handled(method: str, code: str) -> float:
    labels = {"method": f"{SERVICE}/{method}", "code": code}
    return REGISTRY.get_sample_value("gostream_rpc_handled_total", labels) or 0


def in_flight(method: str) -> float:
    return REGISTRY.get_sample_value("gostream_rpc_in_flight", {"method": f"{SERVICE}/{method}"}) or 0


def create(api: Any, **options: Any) -> Any:
    return api.stub.CreateVideo(CreateVideoRequest(title="Holiday", size_bytes=4), **options)


async def request_id(call: Any) -> str:
    return str(dict(await call.trailing_metadata())["x-request-id"])


async def test_valid_client_request_id_is_kept(api: Any) -> None:
    for given in ("a", "req-1_2.3", "A" * 64, "01890000-0000-7000-8000-000000000001"):
        call = create(api, metadata=(("x-request-id", given),))
        await call

        assert await request_id(call) == given


async def test_invalid_client_request_id_is_replaced(api: Any) -> None:
    for given in ("", " ", "a b", "A" * 65, "-x", '{"$gt":1}', "[31m", "../x", "a,b"):
        call = create(api, metadata=(("x-request-id", given),))
        await call

        assert UUID(await request_id(call)).version == 4


async def test_every_response_has_a_unique_request_id(api: Any, refused: Any) -> None:
    calls = [create(api) for _ in range(20)]
    await asyncio.gather(*calls)
    refusal = await refused(api.stub.GetVideo(GetVideoRequest(id="x")))

    ids = {await request_id(call) for call in calls} | {refusal.trailers["x-request-id"]}
    assert len(ids) == 21


async def test_spoofed_internal_headers_are_ignored(api: Any) -> None:
    await api.warm()
    created = await create(api)
    spoofed = (
        ("x-cache", "L1"),
        ("x-user-id", "admin"),
        ("grpc-status-details-bin", b"\x08\x00"),
        ("grpc-retry-pushback-ms", "-1"),
    )

    assert await api.layer(created.video.id, metadata=spoofed) == "MISS"


async def test_oversized_headers_fail_the_call_only(api: Any) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await create(api, metadata=(("x-padding", "x" * 64 * 1024),))

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await create(api)


async def test_each_call_logs_one_line(
    api: Any, refused: Any, eventually: Any, logs: list[MutableMapping[str, Any]]
) -> None:
    def lines() -> list[MutableMapping[str, Any]]:
        return [line for line in logs if line["event"] == "rpc"]

    async def is_logged() -> bool:  # the client gets its response slightly earlier
        return bool(lines())

    unknown = str(uuid4())
    await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=unknown)))

    await eventually(is_logged)
    (line,) = lines()
    assert (line["code"], line["log_level"]) == ("NOT_FOUND", "info")
    assert line["duration_ms"] >= 0


async def test_successful_reads_are_not_logged(api: Any, logs: list[MutableMapping[str, Any]]) -> None:
    logging.getLogger("gostream.rpc").setLevel(logging.INFO)
    created = await create(api)
    await api.stub.GetVideo(GetVideoRequest(id=created.video.id))

    assert len([line for line in logs if line["event"] == "rpc"]) == 1


async def test_calls_are_counted_by_method_and_code(api: Any, refused: Any, eventually: Any) -> None:
    def counts() -> tuple[float, float]:
        return handled("GetVideo", "OK"), handled("GetVideo", "NOT_FOUND")

    async def are_counted() -> bool:  # clients get their responses slightly earlier
        return counts() == (before[0] + 1, before[1] + 1) and in_flight("GetVideo") == 0

    before = counts()
    created = await create(api)

    await api.stub.GetVideo(GetVideoRequest(id=created.video.id))
    await refused(api.stub.GetVideo(GetVideoRequest(id=str(uuid4()))))

    await eventually(are_counted)


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED"])
async def test_cancelled_calls_are_counted_as_cancelled(
    api: Any, database: PostgresDatabase, eventually: Any, code: str
) -> None:
    created = await create(api)
    before = handled("DeleteVideo", code)

    async def is_at_work() -> bool:  # or the deadline passed before the check
        return in_flight("DeleteVideo") == 1 or call.done()

    async def is_counted() -> bool:
        return handled("DeleteVideo", code) == before + 1 and in_flight("DeleteVideo") == 0

    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM videos FOR UPDATE")
        timeout = 2 if code == "DEADLINE_EXCEEDED" else 60
        call = api.stub.DeleteVideo(GetVideoRequest(id=created.video.id), timeout=timeout)
        await eventually(is_at_work)
        if code == "CANCELLED":
            call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await eventually(is_counted)


async def test_unknown_methods_add_no_metric_series(api: Any) -> None:
    for index in range(3):
        with pytest.raises(aio.AioRpcError):
            await api.channel.unary_unary(f"{SERVICE}/Nonsense{index}")(b"")

    methods = {sample.labels.get("method", "") for metric in REGISTRY.collect() for sample in metric.samples}
    assert not [method for method in methods if "Nonsense" in method]
