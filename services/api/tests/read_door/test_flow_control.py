"""Replies wait for the client's flow control, within bounds."""

from typing import Any

from h2 import events

from gostream.v1.video_service_pb2 import BatchGetVideosRequest
from gostream_api.read_door import backlog
from gostream_api.read_door.http2 import sending

HOT = "00000000-0000-0000-0000-000000000001"


def ask_batch(client: Any, stream: int) -> None:
    message = BatchGetVideosRequest(ids=[HOT] * 100).SerializeToString()
    path = "/gostream.v1.VideoService/BatchGetVideos"
    client.h2.send_headers(stream, client.headers(path=path))
    client.h2.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)


async def read_data(client: Any, stream: int) -> int:
    """Reads a whole reply and returns its length."""
    length = 0
    while True:
        event = await client.until(events.Event)
        if isinstance(event, events.DataReceived) and event.stream_id == stream:
            length += len(event.data)
            client.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            client.send()
        elif isinstance(event, events.StreamEnded) and event.stream_id == stream:
            return length


async def test_large_reply_waits_for_window_updates(started: Any, connect: Any) -> None:
    started.reads.payload = b"\x0a\x80\x50" + b"x" * 10_240
    client = await connect(started)
    ask_batch(client, 1)
    client.send()

    assert await read_data(client, 1) == 5 + 100 * (3 + len(started.reads.payload))


async def test_opened_window_releases_reply(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.update_settings({4: 0})
    client.ask(1)
    client.send()
    await client.until(events.ResponseReceived)

    client.h2.update_settings({4: 65535})
    client.send()

    assert await read_data(client, 1) == 5 + len(started.reads.payload)


async def test_calls_wait_while_queue_is_full(started: Any, connect: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED", 1)
    client = await connect(started)
    client.h2.update_settings({4: 0})
    client.ask(1)
    client.ask(3)
    client.send()
    assert (await client.until(events.ResponseReceived)).stream_id == 1

    client.h2.increment_flow_control_window(1000, 1)
    client.send()

    assert (await client.until(events.StreamEnded)).stream_id == 1
    assert (await client.until(events.ResponseReceived)).stream_id == 3


async def test_full_server_refuses_calls(started: Any, connect: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(backlog, "MAX_QUEUED_IN_ALL", 1)
    slow = await connect(started)
    slow.h2.update_settings({4: 0})
    slow.ask(1)
    slow.send()
    await slow.until(events.ResponseReceived)

    other = await connect(started)
    other.ask(1)
    other.send()

    assert dict((await other.until(events.ResponseReceived)).headers)["grpc-status"] == "8"


async def test_reset_of_queued_reply_frees_queue(started: Any, connect: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(backlog, "MAX_QUEUED_IN_ALL", 1)
    client = await connect(started)
    client.h2.update_settings({4: 0})
    client.ask(1)
    client.send()
    await client.until(events.ResponseReceived)

    client.h2.reset_stream(1)
    client.h2.update_settings({4: 65535})
    client.ask(3)
    client.send()

    assert (await client.until(events.TrailersReceived)).stream_id == 3
