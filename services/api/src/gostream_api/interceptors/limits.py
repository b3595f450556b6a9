"""Innermost: more calls than this replica can work at are refused at once, with a reason."""

import asyncio
from typing import Any

from gostream_api.interceptors.behavior import Behavior, BehaviorInterceptor, Context, Handler
from gostream_shared.domain.errors import TooManyRequestsError

_OURS = "/gostream."


class ConcurrencyLimiter(BehaviorInterceptor):
    """Counts unary calls and streams apart; health and reflection are never refused.

    gRPC's own limit would count idle watches and health checks as work, and refuse without details.
    """

    def __init__(self, *, max_calls: int, max_streams: int) -> None:
        super().__init__()
        self._limits = {False: max_calls, True: max_streams}
        self._running = {False: 0, True: 0}
        self._idle = asyncio.Event()

    async def drained(self) -> None:
        """Wait until no call is at work and every answer was handed to the transport."""
        self._idle.clear()
        if any(self._running.values()):
            await self._idle.wait()

    def track_call(self, context: Context) -> None:
        """A unary call is at work until its answer was handed to the transport; nothing is refused."""
        self._running[False] += 1
        context.add_done_callback(self._end_call)  # type: ignore[arg-type]  # a protocol in fact

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
        self._running[True] += 1
        context.add_done_callback(self._end_stream)  # type: ignore[arg-type]  # a protocol in fact

    def _end_call(self, _: object) -> None:
        self._end(False)

    def _end_stream(self, _: object) -> None:
        self._end(True)

    def _end(self, is_stream: bool) -> None:
        self._running[is_stream] -= 1
        if not any(self._running.values()):
            self._idle.set()
