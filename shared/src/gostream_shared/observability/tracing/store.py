"""Spans of S3 requests, by the semantic conventions of the AWS SDK: one for each call, with its retries."""

from typing import Any

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span

_KEPT = "gostream_span"


class StoreSpans:
    """Follows the events of botocore. Keys and URLs are left out."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def watch(self, events: Any) -> None:
        """Listen to the events of a session, before its clients are made."""
        events.register("before-call.s3", self._begin)
        events.register("after-call.s3", self._end)
        events.register("after-call-error.s3", self._fail)

    def _begin(self, model: Any, context: dict[str, Any], **_: Any) -> None:
        if get_current_span().is_recording():
            method = f"S3/{model.name}"
            context[_KEPT] = self._tracer.start_span(
                method, kind=SpanKind.CLIENT, attributes={"rpc.system.name": "aws-api", "rpc.method": method}
            )

    def _end(self, context: dict[str, Any], parsed: dict[str, Any], **_: Any) -> None:
        span: Span | None = context.pop(_KEPT, None)
        if span is None:
            return
        status = int(parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        span.set_attribute("http.response.status_code", status)
        # A missing object is an answer, and a failed condition too.
        if status >= 500 or status in {400, 401, 403}:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end()

    def _fail(self, context: dict[str, Any], exception: BaseException, **_: Any) -> None:
        span: Span | None = context.pop(_KEPT, None)
        if span is not None:
            span.set_attribute("error.type", type(exception).__name__)
            span.set_status(StatusCode.ERROR)
            span.end()
