"""RPC handlers of any kind as plain coroutines, so that one wrapper fits them all."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from grpc import aio

# Generic to the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "aio.ServicerContext[Any, Any]"
#: Takes the request (or the iterator of requests), answers the response; a stream writes to the context.
Behavior: TypeAlias = Callable[[Any, Context], Awaitable[Any]]


class FailedRequest:
    """Passed on in the place of a request whose failure is known already: the error interceptor raises it."""

    def __init__(self, error: Exception) -> None:
        self._errors = [error]

    def take_error(self) -> Exception:
        """Once only: whoever raises it would hold it in a cycle with its traceback, and with it the call,
        for whose end the server's stop waits."""
        return self._errors.pop()


class BehaviorInterceptor(aio.ServerInterceptor):
    """Wraps each method once, however often it is called."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    @abstractmethod
    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        """What to run instead of `behavior`, which is the handler's. Called once a method."""

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
            return None  # unknown methods are not remembered: there is no end of them
        wrapped = _rebuild(handler, self.wrap(method, handler, _behavior_of(handler)))
        return self._wrapped.setdefault(method, wrapped)


def _behavior_of(handler: Handler) -> Behavior:
    """The handler's function as a coroutine. A single request is parsed within it: gRPC itself would answer
    the parser's exception text."""
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
        # Closed at once when the client goes, not when the garbage collector finds it.
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
