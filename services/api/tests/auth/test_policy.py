"""The table of scopes has a row for every RPC that is served, and for nothing else."""

from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gostream.v1 import (
    admin_service_pb2,
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)
from gostream_api.auth.policy import CLOSED, OPEN, SCOPES, scope_of
from gostream_api.principal import ANONYMOUS
from gostream_api.principal import SCOPES as KNOWN

SERVED: list[Any] = [
    video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
    upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],
    event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
    track_service_pb2.DESCRIPTOR.services_by_name["TrackService"],
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
]


def test_every_rpc_has_a_scope() -> None:
    served = {f"/{service.full_name}/{method.name}" for service in SERVED for method in service.methods}

    assert set(SCOPES) == served
    assert set(SCOPES.values()) <= KNOWN | {OPEN}


def test_unknown_rpc_is_closed_to_everybody() -> None:
    assert scope_of("/gostream.v1.VideoService/Invented") == CLOSED
    assert CLOSED not in ANONYMOUS.scopes
