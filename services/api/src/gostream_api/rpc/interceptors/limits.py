"""Limits concurrent calls and streams, and refuses more at once with a reason."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gostream_api.principal import Kind, Principal
from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, Handler
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_shared.domain.errors import TooManyRequestsError

_OURS = "/gostream."
#: Whose streams are counted: the kind of holder, and its name.
_Holder = tuple[str, str]


class ConcurrencyLimiter(BehaviorInterceptor):
    """Limits unary calls, streams, and streams per client and principal. Never refuses health or reflection.

    gRPC's own limit would also count idle watches and health checks, and refuses without details.
    """

    def __init__(
        self,
        *,
        max_calls: int,
        max_streams: int,
        max_streams_per_client: int | None = None,
        max_streams_per_principal: int | None = None,
        client_of: ClientOf = peer_address,
    ) -> None:
        super().__init__()
        self._max_per_client = max_streams_per_client
        self._max_per_principal = max_streams_per_principal
        self._client_of = client_of
        self._streams: Counter[_Holder] = Counter()
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

        async def limited(request: Any, context: Context) -> Any:
            if self._running[is_stream] >= self._limits[is_stream]:
                raise TooManyRequestsError
            if is_stream:
                self._track_stream(request.caller, context)
            else:
                self.track_call(context)
            return await behavior(request, context)

        return limited

    def _track_stream(self, caller: Principal, context: Context) -> None:
        holders: list[_Holder] = []
        if self._max_per_client is not None:
            holders.append(self._admitted("client", self._client_of(context), self._max_per_client))
        if self._max_per_principal is not None and caller.kind is not Kind.ANONYMOUS:
            # A service that acts for owners holds the watches of each owner separately.
            name = f"{caller.id} {caller.owner}"
            holders.append(self._admitted("caller", name, self._max_per_principal))
        self._running[True] += 1
        self._streams.update(holders)
        context.add_done_callback(lambda _: self._end_stream(holders))  # type: ignore[arg-type]  # a protocol in fact

    def _admitted(self, kind: str, name: str, limit: int) -> _Holder:
        """Raises TooManyRequestsError if the holder has reached its limit."""
        holder = (kind, name)
        if self._streams[holder] >= limit:
            raise TooManyRequestsError(
                f"this {kind} has reached its limit of {limit} open watches; end one first"
            )
        return holder

    def _end_call(self, _: object) -> None:
        self._end(False)

    def _end_stream(self, holders: Sequence[_Holder]) -> None:
        for holder in holders:
            self._streams[holder] -= 1
            if not self._streams[holder]:
                del self._streams[holder]
        self._end(True)

    def _end(self, is_stream: bool) -> None:
        self._running[is_stream] -= 1
        if not any(self._running.values()):
            self._idle.set()
