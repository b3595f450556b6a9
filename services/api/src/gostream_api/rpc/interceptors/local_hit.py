"""Answers L1 hits synchronously, before all other interceptors but authentication."""

from collections.abc import Callable, Mapping
from typing import Any

from gostream_api.principal import Principal
from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, FailedRequest, Handler
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, Meter

#: Maps the caller and request bytes to response bytes and one trailer; None if L1 has no entry.
LocalHit = Callable[[Principal, bytes], tuple[bytes, tuple[str, str]] | None]


class LocalHitInterceptor(BehaviorInterceptor):
    """Answers L1 hits. They are counted in batches, not logged or timed, and never refused by a limit."""

    def __init__(self, answers: Mapping[str, LocalHit], limiter: ConcurrencyLimiter) -> None:
        super().__init__()
        self._answers = answers
        self._limiter = limiter

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        known = self._answers.get(method)
        if known is None:
            return behavior
        answer, meter, track = known, Meter(method, is_unary=True), self._limiter.track_call

        async def answered(request: Any, context: Context) -> Any:
            if isinstance(request, FailedRequest):
                return await behavior(request, context)
            try:
                found = answer(request.caller, request.message)
            except Exception as error:  # noqa: BLE001 - the inner interceptors handle it
                return await behavior(FailedRequest(error), context)
            if found is None:
                return await behavior(request, context)
            payload, trailer = found
            context.set_trailing_metadata(((REQUEST_ID, request.request_id), trailer))
            track(context)
            meter.count_local_hit(request.traceparent)
            return payload

        return answered
