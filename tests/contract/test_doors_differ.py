"""Requests that both doors answer differently on purpose (docs/decisions/0122), and Envoy's own answers."""

import pytest

from gostream.v1.video_service_pb2 import GetVideoRequest
from tests.contract.doors import Doors, get
from tests.contract.raw_grpc import Request, call, frame

pytestmark = pytest.mark.stack

DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 4, 8, 12, 13


@pytest.mark.parametrize("timeout", ["1n", "1u", "999u"])
def test_submillisecond_deadlines_are_exceeded(doors: Doors, timeout: str) -> None:
    reference, reads = doors.both(get(doors.ids[0], headers=(("grpc-timeout", timeout),)))

    assert reference.status in {0, DEADLINE_EXCEEDED}  # the call may finish before its timer fires
    assert reads.status == DEADLINE_EXCEEDED


def test_edge_proxies_other_methods(doors: Doors) -> None:
    request = Request(frame(b""), "ListVideos")

    assert call(doors.edge, request).data == call(doors.reference, request).data


def test_edge_rejects_other_hosts(doors: Doors) -> None:
    reply = call(doors.edge, get(doors.ids[0], authority="evil.example"))

    assert (reply.headers[b"grpc-status"], reply.data) == (b"7", b"")


def test_read_door_refuses_other_methods(doors: Doors) -> None:
    reply = call(doors.reads, Request(frame(b""), "ListVideos"))

    assert reply.status == UNIMPLEMENTED
    assert doors.reference.split(":")[1].encode() in reply.headers[b"grpc-message"]


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\0", frame(b"x" * 9)[:-1]])
def test_read_door_rejects_truncated_message_early(doors: Doors, body: bytes) -> None:
    soon = (("grpc-timeout", "200m"),)
    reference, reads = doors.both(Request(body, headers=soon))

    assert (reference.status, reads.status) == (DEADLINE_EXCEEDED, INTERNAL)


@pytest.mark.parametrize("flags", [2, 3, 128, 255])
def test_read_door_rejects_unknown_frame_flags(doors: Doors, flags: int) -> None:
    message = GetVideoRequest(id=doors.ids[0]).SerializeToString()

    assert call(doors.reads, Request(frame(message, flags=flags))).status == INTERNAL


def test_read_door_explains_missing_te(doors: Doors) -> None:
    reference, reads = doors.both(get(doors.ids[0], te=""))

    assert (reference.end, reads.status) == ("reset", INTERNAL)


def test_read_door_resets_other_content_types(doors: Doors) -> None:
    reference, reads = doors.both(get(doors.ids[0], content_type="application/json"))

    assert (reference.status, reads.end) == (0, "reset")


def test_read_door_refuses_large_header_lists(doors: Doors) -> None:
    reply = call(doors.reads, get(doors.ids[0], headers=(("x-long", "y" * 20_000),)))

    assert reply.status == RESOURCE_EXHAUSTED


@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_other_verbs_are_reset_alike(doors: Doors, verb: str) -> None:
    reference, reads = doors.both(get(doors.ids[0], verb=verb))

    assert reference.end == reads.end == "reset"
