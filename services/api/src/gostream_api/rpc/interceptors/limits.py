"""Limits concurrent calls and streams, and refuses more at once with a reason."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, Handler
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_shared.domain.errors import TooManyRequestsError

_OURS = "/gostream."


class ConcurrencyLimiter(BehaviorInterceptor):
    """Limits unary calls, streams, and streams per client. Never refuses health or reflection.

    gRPC's own limit would also count idle watches and health checks, and refuses without details.
    """

    def __init__(
        self,
        *,
        max_calls: int,
        max_streams: int,
        max_streams_per_client: int | None = None,
        client_of: ClientOf = peer_address,
    ) -> None:
        super().__init__()
        self._max_per_client = max_streams_per_client
        self._client_of = client_of
        self._streams: Counter[str] = Counter()
        self._limits = {False: max_calls, True: max_streams}
        self._running = {False: 0, True: 0}
        self._idle = asyncio.Event()

    async def drained(self) -> None:
        """Wait until no call is running and every response was passed to the transport."""
        self._idle.clear()
        if any(self._running.values()):
            await self._idle.wait()

    def track_call(self, context: Context) -> None:
        """Count a unary call until its response was passed to the transport. Never refuses it."""
        self._running[False] += 1
        context.add_done_callback(self._end_call)  # type: ignore[arg-type]  # a protocol in fact

    @contextmanager
    def unary_call(self) -> Iterator[None]:
        """Count a unary call of another transport. Raises TooManyRequestsError at the limit."""
        if self._running[False] >= self._limits[False]:
            raise TooManyRequestsError
        self._running[False] += 1
        try:
            yield
        finally:
            self._end(False)

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        if not method.startswith(_OURS):
            return behavior
        is_stream = bool(handler.response_streaming)
        track = self._track_stream if is_stream else self.track_call

        async def limited(request: Any, context: Context) -> Any:
            if self._running[is_stream] >= self._limits[is_stream]:
                raise TooManyRequestsError
            track(context)
            return await behavior(request, context)

        return limited

    def _track_stream(self, context: Context) -> None:
        client = self._client_of(context)
        if self._max_per_client is not None and self._streams[client] >= self._max_per_client:
            raise TooManyRequestsError(
                f"this client has reached its limit of {self._max_per_client} open watches; end one first"
            )
        self._running[True] += 1
        self._streams[client] += 1
        context.add_done_callback(lambda _: self._end_stream(client))  # type: ignore[arg-type]  # a protocol in fact

    def _end_call(self, _: object) -> None:
        self._end(False)

    def _end_stream(self, client: str) -> None:
        self._streams[client] -= 1
        if not self._streams[client]:
            del self._streams[client]
        self._end(True)

    def _end(self, is_stream: bool) -> None:
        self._running[is_stream] -= 1
        if not any(self._running.values()):
            self._idle.set()
