"""Outermost: what this process knows by heart is answered before anything is set up for a slower call."""

from collections.abc import Callable, Mapping
from typing import Any

from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, FailedRequest, Handler
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, Meter, request_id_among

#: From a request's bytes to the response's and one trailer; None when it would have to wait.
LocalHit = Callable[[bytes], tuple[bytes, tuple[str, str]] | None]


class LocalHitInterceptor(BehaviorInterceptor):
    """Such answers are counted in bulk, and neither logged nor timed; no limit refuses them."""

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
            try:
                found = answer(request)
            except Exception as error:  # noqa: BLE001 - the interceptors within say what becomes of it
                return await behavior(FailedRequest(error), context)
            if found is None:
                return await behavior(request, context)
            payload, trailer = found
            request_id = request_id_among(context.invocation_metadata() or ())
            context.set_trailing_metadata(((REQUEST_ID, request_id), trailer))
            track(context)
            meter.count_local_hit()
            return payload

        return answered
