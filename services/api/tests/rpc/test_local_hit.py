"""L1 hits that are answered synchronously: the same response at a lower cost."""

import asyncio
import gc
import weakref
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from prometheus_client import REGISTRY, Counter

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.batched_counter import BatchedCounter
from gostream_api.rpc.interceptors.base import FailedRequest
from gostream_api.rpc.interceptors.telemetry import new_request_id

METHOD = "/gostream.v1.VideoService/GetVideo"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def trailers(call: Any) -> dict[str, Any]:
    await call
    return dict(await call.trailing_metadata())


@pytest.fixture
async def known(api: Any) -> str:
    """Id of a video in L1."""
    await api.warm()
    video_id = str((await api.create()).video.id)
    while await api.layer(video_id) != "L1":
        pass
    return video_id


async def test_l1_hit_carries_the_usual_metadata(api: Any, known: str) -> None:
    given = await trailers(api.stub.GetVideo(GetVideoRequest(id=known), metadata=(("x-request-id", "mine"),)))
    made = await trailers(api.stub.BatchGetVideos(BatchGetVideosRequest(ids=[known])))

    assert given == {"x-request-id": "mine", "x-cache": "L1"}
    assert made["x-cache"] == "L1"
    assert UUID(made["x-request-id"]).version == 4


async def test_l1_hits_are_counted_but_not_timed(api: Any, known: str, eventually: Any) -> None:
    def counts() -> tuple[float, float, float]:
        return (
            value("gostream_rpc_handled_total", method=METHOD, code="OK"),
            value("gostream_cache_requests_total", layer="l1", result="hit"),
            value("gostream_rpc_duration_seconds_count", method=METHOD),
        )

    async def are_counted() -> bool:
        return counts()[:2] == (before[0] + 3, before[1] + 3)

    await asyncio.sleep(0.5)  # earlier calls are counted by then
    before = counts()
    for _ in range(3):
        await api.stub.GetVideo(GetVideoRequest(id=known))

    await eventually(are_counted)
    assert counts()[2] == before[2]


async def test_synchronous_failure_is_reported_and_counted(api: Any, refused: Any, eventually: Any) -> None:
    def handled() -> float:
        return value("gostream_rpc_handled_total", method=METHOD, code="NOT_FOUND")

    async def is_counted() -> bool:  # the client gets its response slightly earlier
        return handled() == before + 1

    await api.warm()
    unknown = GetVideoRequest(id=str(uuid4()))
    before = handled()
    first = await refused(api.stub.GetVideo(unknown))
    await eventually(is_counted)
    before, negatives = handled(), value("gostream_cache_requests_total", layer="l1", result="negative")

    again = await refused(api.stub.GetVideo(unknown, metadata=(("x-request-id", "mine"),)))

    assert (again.code, again.info, again.details) == (first.code, first.info, first.details)
    assert again.code is grpc.StatusCode.NOT_FOUND
    assert again.trailers["x-request-id"] == "mine"
    await eventually(is_counted)
    assert value("gostream_cache_requests_total", layer="l1", result="negative") == negatives + 1


def test_failed_request_forms_no_reference_cycle() -> None:
    """gRPC's server stops once its calls are freed; a reference cycle would keep one alive."""

    class Call:
        pass

    def raise_it(request: FailedRequest, call: Call) -> None:
        raise request.take_error()

    gc.disable()
    try:
        call = Call()
        gone = weakref.ref(call)
        with suppress(ValueError):
            raise_it(FailedRequest(ValueError("known")), call)
        del call
        assert gone() is None
    finally:
        gc.enable()


async def test_flushed_bulk_counter_updates_its_counter() -> None:
    counter = Counter("test_bulk", "of this test", registry=None)
    bulk = BatchedCounter(counter)

    bulk.add()
    bulk.add(4)
    late = counter._value.get()
    bulk.flush()

    assert (late, counter._value.get()) == (0, 5)


def test_request_ids_are_random_uuids() -> None:
    ids = {new_request_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {UUID(each).version for each in ids} == {4}
    assert {UUID(each).variant for each in ids} == {UUID(str(uuid4())).variant}
