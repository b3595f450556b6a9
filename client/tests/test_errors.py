"""Failed calls as exceptions: by reason, by code, and from details that cannot be read."""

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gostream_client import GoStreamError, QueueFullError, UnreachableError, VideoNotFoundError
from gostream_client.rpc_errors import BY_REASON, from_rpc


class Failed:
    """A failed call."""

    def __init__(
        self, code: grpc.StatusCode, *details: Message, packed: bytes = b"", text: str = "text"
    ) -> None:
        self._code, self._text = code, text
        status = status_pb2.Status(message="text")
        for detail in details:
            status.details.append(AnyMessage())
            status.details[-1].Pack(detail)
        self._packed = packed or status.SerializeToString()

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._packed), ("x-request-id", "req-1"))


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="gostream", metadata=metadata)


@pytest.mark.parametrize("reason", sorted(BY_REASON))
def test_each_reason_raises_its_own_class(reason: str) -> None:
    error = from_rpc(Failed(grpc.StatusCode.ABORTED, info(reason)), "a:1")

    assert type(error) is BY_REASON[reason]
    assert (error.reason, error.code, error.request_id) == (reason, "ABORTED", "req-1")


def test_delay_and_ids_are_kept() -> None:
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=30, milliseconds=250))
    failed = Failed(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        info("QUEUE_FULL", video_id="v"),
        error_details_pb2.RetryInfo(retry_delay=delay),
        error_details_pb2.RequestInfo(request_id="req-2"),
    )

    error = from_rpc(failed, "a:1")

    assert isinstance(error, QueueFullError)
    assert (error.retry_after, error.video_id, error.request_id) == (30.25, "v", "req-2")


def test_missing_videos_of_a_batch_are_listed() -> None:
    error = from_rpc(Failed(grpc.StatusCode.NOT_FOUND, info("VIDEO_NOT_FOUND", video_ids="a,b")), "a:1")

    assert isinstance(error, VideoNotFoundError)
    assert error.metadata["video_ids"] == "a,b"


def test_unknown_reason_is_the_base_class() -> None:
    error = from_rpc(Failed(grpc.StatusCode.FAILED_PRECONDITION, info("FROM_THE_FUTURE")), "a:1")

    assert type(error) is GoStreamError
    assert (error.reason, error.code) == ("FROM_THE_FUTURE", "FAILED_PRECONDITION")


def test_unknown_reason_of_a_transient_code_is_unreachable() -> None:
    error = from_rpc(Failed(grpc.StatusCode.UNAVAILABLE, info("FROM_THE_FUTURE")), "a:1")

    assert type(error) is UnreachableError
    assert error.message == "text"


@pytest.mark.parametrize("code", list(grpc.StatusCode))
@pytest.mark.parametrize("packed", [b"\xff\xff\xff", b"\x1a\x03\x0a\x01x", b"\x00"])
def test_unreadable_details_leave_the_code(code: grpc.StatusCode, packed: bytes) -> None:
    error = from_rpc(Failed(code, packed=packed), "a:1")

    assert (error.code, error.reason, error.violations) == (code.name, code.name, ())
    assert error.request_id == "req-1"


def test_failed_call_without_any_text_is_explained() -> None:
    failed = Failed(grpc.StatusCode.UNKNOWN, text="")

    assert "no explanation" in str(from_rpc(failed, "a:1"))
