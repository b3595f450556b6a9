"""RPCs during the outage of a backend: which succeed and which fail with which error."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gostream.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest, TriggerProcessRequest
from gostream_api.rpc.server import BUS_HEALTH
from gostream_api.rpc.servicer import SERVICE
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_devstack.servers.valkey import Valkey


async def test_all_rpcs_work_without_redis(api: Any, redis_server: Valkey) -> None:
    redis_server.stop()

    video_id = await api.uploaded()
    triggered = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id), timeout=30)
    call = api.stub.GetVideo(GetVideoRequest(id=video_id), timeout=30)

    assert await call == triggered
    assert dict(await call.trailing_metadata())["x-cache"] in {"BYPASS", "MISS"}


async def test_lost_bus_is_reported_but_service_stays_healthy(
    api: Any, redis_server: Valkey, eventually: Any
) -> None:
    health: Any = health_pb2_grpc.HealthStub(api.channel)

    async def serving(service: str) -> bool:
        reply = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    await eventually(lambda: serving(BUS_HEALTH))
    redis_server.stop()

    async def lost() -> bool:
        return not await serving(BUS_HEALTH)

    await eventually(lost)
    assert await serving("")
    assert await serving(SERVICE)


@pytest.mark.slow
async def test_without_the_store_only_processing_is_unavailable(
    api: Any, refused: Any, object_store_server: SeaweedFS
) -> None:
    video_id = await api.uploaded()
    object_store_server.stop()
    try:
        refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id), timeout=60))
        read = await api.stub.GetVideo(GetVideoRequest(id=video_id))
    finally:
        object_store_server.start()

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
    assert "object store" in refusal.message
    assert read.id == video_id


@pytest.mark.direct_database
async def test_writes_are_unavailable_during_a_database_outage(
    api: Any, refused: Any, postgres_server: Postgres
) -> None:
    await api.warm()
    created = await api.create()
    await api.stub.GetVideo(GetVideoRequest(id=created.video.id))
    postgres_server.stop()
    try:
        refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4), timeout=30))
        cached = await api.stub.GetVideo(GetVideoRequest(id=created.video.id))
    finally:
        postgres_server.start()

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
    assert cached == created.video
    await api.create()
