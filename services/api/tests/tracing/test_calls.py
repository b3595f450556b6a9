"""The server spans of calls, over both doors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from grpc import aio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from gostream.v1.video_service_pb2 import (
    DeleteVideoRequest,
    GetVideoRequest,
    ListVideosRequest,
    TriggerProcessRequest,
    UndeleteVideoRequest,
    WatchVideoRequest,
)
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.ports import Ports
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.observability.tracing import spans
from tests.support.servers.otlp import recording
from tests.support.waiting import eventually

SERVICE = "gostream.v1.VideoService"
GET = f"{SERVICE}/GetVideo"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{CALLER}-01"
UNSAMPLED = f"00-{TRACE}-{CALLER}-00"
MALFORMED = ("", "00", "x" * 55, f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", "é" * 55)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    with recording() as exporter:
        yield exporter


@pytest.fixture
async def traced(exporter: InMemorySpanExporter, api: Any) -> Any:
    """An API with traces, which has warmed up."""
    await api.warm()
    exporter.clear()
    return api


@pytest.fixture
def ended(exporter: InMemorySpanExporter) -> Callable[..., Awaitable[ReadableSpan]]:
    """Waits for the span of that name, which ends after the client has its answer."""

    async def ended(name: str) -> ReadableSpan:
        async with asyncio.timeout(60):
            while not (found := [each for each in exporter.get_finished_spans() if each.name == name]):
                await asyncio.sleep(0.01)
        return found[-1]

    return ended


def facts(span: ReadableSpan) -> tuple[Any, StatusCode]:
    return (span.attributes or {}).get("rpc.response.status_code"), span.status.status_code


def of_the_caller(exporter: InMemorySpanExporter) -> list[Any]:
    """Returns the finished spans in the trace of `with_parent`; the API also has traces of its own."""
    return [each for each in exporter.get_finished_spans() if each.context.trace_id == int(TRACE, 16)]


def with_parent(traceparent: str) -> dict[str, Any]:
    return {"metadata": (("traceparent", traceparent),)}


async def test_calls_follow_the_callers_trace(traced: Any, ended: Any) -> None:
    request = GetVideoRequest(id=str(uuid4()))
    with pytest.raises(aio.AioRpcError):
        await traced.stub.GetVideo(request, **with_parent(SAMPLED))

    span = await ended(GET)

    assert format(span.context.trace_id, "032x") == TRACE
    assert format(span.parent.span_id, "016x") == CALLER
    assert span.kind is SpanKind.SERVER
    assert span.attributes["rpc.system.name"] == "grpc"
    assert span.attributes["rpc.method"] == GET
    assert facts(span) == ("NOT_FOUND", StatusCode.UNSET)  # the client's mistake


async def test_unsampled_callers_record_nothing(traced: Any, exporter: Any) -> None:
    created = await traced.create()
    exporter.clear()

    for _ in range(3):  # a miss, and hits of L1
        await traced.stub.GetVideo(GetVideoRequest(id=created.video.id), **with_parent(UNSAMPLED))
    await asyncio.sleep(0.2)

    assert of_the_caller(exporter) == []


@pytest.mark.parametrize("traceparent", MALFORMED[:5])
async def test_malformed_parent_begins_a_trace(traced: Any, ended: Any, traceparent: str) -> None:
    created = await traced.create()
    await traced.stub.GetVideo(GetVideoRequest(id=created.video.id), **with_parent(traceparent))

    assert (await ended(GET)).parent is None


async def test_cancelled_call_is_not_an_error(traced: Any, ended: Any) -> None:
    created = await traced.create()
    call = traced.stub.WatchVideo(WatchVideoRequest(id=created.video.id))
    await call.read()
    call.cancel()

    assert facts(await ended(f"{SERVICE}/WatchVideo")) == ("CANCELLED", StatusCode.UNSET)


async def test_expired_call_is_an_error(traced: Any, ended: Any) -> None:
    created = await traced.create()
    call = traced.stub.WatchVideo(WatchVideoRequest(id=created.video.id), timeout=0.5)
    with pytest.raises(aio.AioRpcError):
        while True:
            await call.read()

    span = await ended(f"{SERVICE}/WatchVideo")
    assert facts(span) == ("DEADLINE_EXCEEDED", StatusCode.ERROR)
    assert span.attributes["error.type"] == "DEADLINE_EXCEEDED"


async def test_masked_failure_is_an_error(traced: Any, ended: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("gostream_api.videos.video_service.VideoService.list_videos", fail)
    with pytest.raises(aio.AioRpcError):
        await traced.stub.ListVideos(ListVideosRequest(user_id="u"))

    span = await ended(f"{SERVICE}/ListVideos")
    assert facts(span) == ("INTERNAL", StatusCode.ERROR)
    assert "secret" not in span.to_json()


async def test_layers_of_a_read_are_told(traced: Any, exporter: Any) -> None:
    created = await traced.create()
    exporter.clear()
    for _ in range(2):
        await traced.stub.GetVideo(GetVideoRequest(id=created.video.id), **with_parent(SAMPLED))

    await eventually(lambda: [each.name for each in of_the_caller(exporter)].count(GET) == 2)
    found = of_the_caller(exporter)
    layers = [each.attributes["gostream.cache.layer"] for each in found if each.name == GET]
    names = {each.name for each in found}
    assert layers == ["MISS", "L1"]
    assert names >= {"redis get", "SELECT videos", "redis fill"}


async def test_queries_are_described_without_values(traced: Any, exporter: Any, ended: Any) -> None:
    await traced.create(title="private title")
    query = await ended("INSERT videos")

    assert query.kind is SpanKind.CLIENT
    assert query.attributes["db.system.name"] == "postgresql"
    assert query.attributes["db.collection.name"] == "videos"
    assert "private" not in "".join(each.to_json() for each in exporter.get_finished_spans())


async def test_jobs_carry_the_trace(traced: Any, exporter: Any, database: PostgresDatabase) -> None:
    video_id = await traced.uploaded()
    await traced.stub.TriggerProcess(TriggerProcessRequest(id=video_id), **with_parent(SAMPLED))

    headers = await database.pool.fetchval(
        "SELECT headers::text FROM pgqueuer WHERE entrypoint = 'transcode'"
    )

    assert TRACE in headers
    (sent,) = [each for each in exporter.get_finished_spans() if each.name == "send transcode"]
    assert sent.kind is SpanKind.PRODUCER
    assert format(sent.context.span_id, "016x") in headers


async def test_first_read_links_to_the_change(traced: Any, exporter: Any) -> None:
    created = await traced.create()
    video_id = created.video.id
    await traced.layer(video_id)
    await traced.stub.DeleteVideo(DeleteVideoRequest(id=video_id), **with_parent(SAMPLED))
    await traced.stub.UndeleteVideo(UndeleteVideoRequest(id=video_id), **with_parent(SAMPLED))
    exporter.clear()
    for _ in range(2):
        await traced.layer(video_id)
    await asyncio.sleep(0.2)

    first, second = [each for each in exporter.get_finished_spans() if each.name == GET]
    assert [link.context.trace_id for link in first.links] == [int(TRACE, 16)]
    assert first.context.trace_id != int(TRACE, 16)
    assert not second.links


async def test_log_lines_have_the_ids(traced: Any) -> None:
    logging.getLogger("gostream.rpc").setLevel(logging.INFO)
    with capture_logs(processors=[spans.add_ids]) as lines, pytest.raises(aio.AioRpcError):
        await traced.stub.TriggerProcess(TriggerProcessRequest(id=str(uuid4())), **with_parent(SAMPLED))

    (line,) = [each for each in lines if each["event"] == "rpc"]
    assert line["trace_id"] == TRACE
    assert len(line["span_id"]) == 16


@pytest.fixture
async def doors(exporter: Any, start_api: Any, _server_ports: Ports) -> Any:
    """The address of a read door with a video in L1, and its id."""
    port = _server_ports.pick("traced-reads")
    api = await start_api(READ_PORT=str(port))
    await api.warm()
    video_id = (await api.create()).video.id
    while await api.layer(video_id) != "L1":
        pass
    exporter.clear()
    return f"127.0.0.1:{port}", video_id


async def read(address: str, video_id: str, headers: Mapping[str, str]) -> None:
    async with aio.insecure_channel(address) as channel:
        for _ in range(3):  # from the second call on by the short path
            await VideoServiceStub(channel).GetVideo(
                GetVideoRequest(id=video_id), metadata=tuple(headers.items())
            )


async def read_json(address: str, video_id: str, headers: Mapping[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"http://{address}/v1/videos/{video_id}", headers=headers) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(("door", "call"), [("read", read), ("json", read_json)])
async def test_read_doors_follow_the_caller(doors: Any, exporter: Any, door: str, call: Any) -> None:
    for traceparent in (SAMPLED, UNSAMPLED):
        await call(*doors, {"traceparent": traceparent})

    found = [each for each in exporter.get_finished_spans() if each.attributes.get("gostream.door") == door]
    assert [each.name for each in found] == [GET] * 3
    assert {format(each.parent.span_id, "016x") for each in found} == {CALLER}
    assert {each.attributes["gostream.cache.layer"] for each in found} == {"L1"}


@pytest.mark.parametrize(("door", "call"), [("read", read), ("json", read_json)])
async def test_read_doors_begin_traces(doors: Any, exporter: Any, door: str, call: Any) -> None:
    await call(*doors, {})

    found = [each for each in exporter.get_finished_spans() if each.attributes.get("gostream.door") == door]
    assert len({each.context.trace_id for each in found}) == 3


async def test_read_door_tells_failures(doors: Any, exporter: Any) -> None:
    address, _ = doors
    async with aio.insecure_channel(address) as channel:
        for wrong in ("x", str(uuid4())):
            with pytest.raises(aio.AioRpcError):
                await VideoServiceStub(channel).GetVideo(GetVideoRequest(id=wrong), **with_parent(SAMPLED))

    def found() -> list[Any]:
        return [each for each in of_the_caller(exporter) if each.name == GET]

    await eventually(lambda: len(found()) == 2)
    assert sorted(facts(each)[0] for each in found()) == ["INVALID_ARGUMENT", "NOT_FOUND"]
