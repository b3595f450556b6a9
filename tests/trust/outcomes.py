"""How calls end."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from google.rpc import error_details_pb2, status_pb2
from grpc import aio

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Outcome:
    """The end of a call as a client sees it. `rest` is everything but the request id."""

    code: str
    reason: str = ""
    rest: tuple[tuple[str, str | bytes], ...] = ()

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".strip()


class Refused(Exception):  # noqa: N818
    """The end of a call that is not gRPC."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


async def outcome(call: Awaitable[Any]) -> Outcome:
    """Awaits a call."""
    try:
        await call
    except aio.AioRpcError as error:
        return _outcome(error)
    except Refused as error:
        return error.outcome
    return Outcome("OK")


def _outcome(error: aio.AioRpcError) -> Outcome:
    trailers = [(key, value) for key, value in error.trailing_metadata() or () if key != "x-request-id"]
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(dict(trailers).get("grpc-status-details-bin", b"")).details:
        detail.Unpack(info)
    rest = (("grpc-message", str(error.details())), *sorted(trailers))
    return Outcome(error.code().name, info.reason, rest)
