"""Converts events to protobuf messages."""

from gostream.v1 import event_pb2, video_pb2
from gostream_api.events.event_service import SeenEvent
from gostream_api.events.tokens import resume_token
from gostream_api.events.watch import Message
from gostream_api.rpc.convert import video_message


def stream_message(message: Message, cdn_base_url: str) -> event_pb2.Event:
    if message.seen is None:
        return event_pb2.Event(resume_token=message.token)
    return event_message(message.seen, cdn_base_url)


def event_message(seen: SeenEvent, cdn_base_url: str) -> event_pb2.Event:
    event = seen.event
    message = event_pb2.Event(
        id=str(event.id),
        type=event.type,
        video_id=str(event.video_id),
        version=event.version,
        user_id=event.user_id,
        resume_token=resume_token(event.position),
        status=_status(event.data.get("status")),
        previous_status=_status(event.data.get("previous_status")),
        video=None if seen.video is None else video_message(seen.video, cdn_base_url),
    )
    message.create_time.FromDatetime(event.created_at)
    return message


def _status(name: object) -> video_pb2.Video.Status.ValueType:
    """Returns UNSPECIFIED for None, and for a status of a later release."""
    known: dict[str, video_pb2.Video.Status.ValueType] = dict(video_pb2.Video.Status.items())
    return known.get(f"STATUS_{name}", video_pb2.Video.STATUS_UNSPECIFIED)
