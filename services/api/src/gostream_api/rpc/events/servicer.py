"""The gRPC servicer of gostream.v1.EventService: each RPC validates, calls a use case and converts."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import grpc

from gostream.v1 import event_pb2, event_service_pb2
from gostream_api.events.event_service import EventService
from gostream_api.events.watch import EventWatches
from gostream_api.rpc.events import validation
from gostream_api.rpc.events.convert import event_message, stream_message
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked
from gostream_shared.concurrency import map_in_slices

EVENTS = event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name


@dataclass(frozen=True, slots=True)
class EventServicer:
    """The RPCs of EventService over its use cases."""

    events: EventService
    watches: EventWatches
    cdn_base_url: str

    async def ListEvents(  # noqa: N802
        self, request: Asked[event_service_pb2.ListEventsRequest], context: Context
    ) -> event_service_pb2.ListEventsResponse:
        which, page_size = validation.list_events(request.message)
        seen, token = await self.events.list_events(
            request.caller, which, page_size=page_size, token=request.message.page_token
        )
        convert = partial(event_message, cdn_base_url=self.cdn_base_url)
        messages = await map_in_slices(convert, seen)
        return event_service_pb2.ListEventsResponse(events=messages, next_page_token=token)

    async def WatchEvents(  # noqa: N802
        self, request: Asked[event_service_pb2.WatchEventsRequest], context: Context
    ) -> AsyncIterator[event_pb2.Event]:
        which = validation.watch_events(request.message)
        watch = self.watches.watch(request.caller, which, token=request.message.resume_token)
        async with aclosing(watch) as messages:
            async for message in messages:
                yield stream_message(message, self.cdn_base_url)


def event_handlers(servicer: EventServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request."""
    return {
        "ListEvents": grpc.unary_unary_rpc_method_handler(
            servicer.ListEvents,
            asked(event_service_pb2.ListEventsRequest.FromString),
            event_service_pb2.ListEventsResponse.SerializeToString,
        ),
        "WatchEvents": grpc.unary_stream_rpc_method_handler(
            servicer.WatchEvents,
            asked(event_service_pb2.WatchEventsRequest.FromString),
            event_pb2.Event.SerializeToString,
        ),
    }
