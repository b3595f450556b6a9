"""Turns RPC handlers of every kind into coroutines, so that one wrapper fits all of them."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import grpc
from grpc import aio

from gostream_api.principal import Principal

# Generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "aio.ServicerContext[Any, Any]"
#: Takes the request (or an iterator of requests) and returns the response; a stream writes to the context.
Behavior: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


Message = TypeVar("Message")


class Asked(NamedTuple, Generic[Message]):
    """A request, its caller, and the ids of the call and its trace; no metadata, since tracebacks show it."""

    caller: Principal
    message: Message
    request_id: str
    traceparent: str | None = None


def asked(parse: Callable[[bytes], Any]) -> Callable[[Any], Any]:
    """Returns a parser of Asked requests that keeps the caller. gRPC's types know parsers of bytes only."""
    return lambda request: request._replace(message=parse(request.message))


class FailedRequest:
    """Replaces a request that has already failed; the error interceptor raises its error."""

    def __init__(self, error: Exception) -> None:
        self._errors = [error]

    def take_error(self) -> Exception:
        """Returns the error and drops the reference.

        Otherwise the raised error would form a cycle with its traceback and keep the call alive, and the
        server's stop waits for the end of the call.
        """
        return self._errors.pop()


class BehaviorInterceptor(aio.ServerInterceptor):
    """Wraps each method once, at its first call."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    @abstractmethod
    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        """Returns the replacement of `behavior`, the handler's coroutine. Called once per method."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if (known := self._wrapped.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # unknown methods are not cached: their number is unlimited
        wrapped = _rebuild(handler, self.wrap(method, handler, _behavior_of(handler)))
        return self._wrapped.setdefault(method, wrapped)


def _behavior_of(handler: Handler) -> Behavior:
    """Returns the handler's function as a coroutine.

    It parses a single request itself, because gRPC would send the text of the parser's exception to the
    client.
    """
    function: Any = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    parse: Any = None if handler.request_streaming else handler.request_deserializer

    if inspect.iscoroutinefunction(function):
        if parse is None:
            return function  # type: ignore[no-any-return]

        async def respond(request: Any, context: Context) -> Any:
            return await function(parse(request), context)

        return respond

    async def write_all(request: Any, context: Context) -> None:
        # Closes the iterator when the client leaves, without waiting for the garbage collector.
        async with aclosing(function(parse(request) if parse else request, context)) as messages:
            async for message in messages:
                await context.write(message)

    return write_all


def _rebuild(handler: Handler, behavior: Behavior) -> Handler:
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    rebuilt: Handler = make(
        behavior,
        request_deserializer=handler.request_deserializer if handler.request_streaming else None,
        response_serializer=handler.response_serializer,
    )
    return rebuilt
