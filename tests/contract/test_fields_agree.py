"""Labels, external id and times of a video are equal in every reply, through every door."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    BatchGetVideosRequest,
    BatchGetVideosResponse,
    CreateVideoRequest,
    DeleteVideoRequest,
    GetVideoRequest,
    ListVideosRequest,
    ListVideosResponse,
    UndeleteVideoRequest,
    UpdateVideoRequest,
    WatchVideoRequest,
)
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from tests.contract.doors import Doors, batch, get
from tests.contract.raw_grpc import Reply

pytestmark = pytest.mark.stack

LABELS = {f"key-{number}": f"Wert {number} ✓ \"'\\=&<>" for number in range(40)}
OWNER = "fields"


@pytest.fixture
def stub(doors: Doors) -> Iterator[Any]:
    with grpc.insecure_channel(doors.reference) as channel:
        yield VideoServiceStub(channel)


@pytest.fixture
def video(stub: Any) -> Video:
    """A video with all fields of its owner."""
    request = CreateVideoRequest(
        title="Ünïcödé film", user_id=OWNER, size_bytes=4, labels=LABELS, external_id=f"id {time.time_ns()} ✓"
    )
    created = stub.CreateVideo(request, timeout=60).video
    assert (created.labels, created.external_id) == (LABELS, request.external_id)
    change = UpdateVideoRequest(video=Video(id=created.id, title="Ünïcödé film 2"))
    change.video.expire_time.FromSeconds(int(time.time()) + 3600)
    updated: Video = stub.UpdateVideo(change, timeout=60)
    assert updated.expire_time == change.video.expire_time
    return updated


def message(reply: Reply) -> bytes:
    assert reply.status == 0
    return reply.data[5:]


def ask(address: str, path: str, method: str = "GET", body: object = None) -> Any:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"content-type": "application/json"} if data else {})
        response = connection.getresponse()
        text = response.readline() if path.endswith(":watch") else response.read()
        assert response.status == 200, text
        return json.loads(text)
    finally:
        connection.close()


def parsed(document: Any) -> Video:
    found: Video = Parse(json.dumps(document), Video())
    return found


def test_every_reply_has_equal_fields(doors: Doors, stub: Any, video: Video) -> None:
    expected = video.SerializeToString(deterministic=True)
    seen: list[bytes] = []
    while seen[-1:] != [b"L1"]:  # from the database first
        reference, reads = doors.both(get(video.id))
        assert message(reference) == message(reads) == expected
        seen.append(reads.trailers[b"x-cache"])
    batches = [message(reply) for reply in doors.both(batch(video.id, doors.ids[0], video.id))]
    assert batches[0] == batches[1]
    assert [*BatchGetVideosResponse.FromString(batches[0]).videos][::2] == [video, video]
    assert stub.GetVideo(GetVideoRequest(id=video.id), timeout=60) == video
    assert stub.BatchGetVideos(BatchGetVideosRequest(ids=[video.id]), timeout=60).videos[0] == video
    page: ListVideosResponse = stub.ListVideos(
        ListVideosRequest(user_id=OWNER, external_id=video.external_id, labels=["key-7"], title="film 2"),
        timeout=60,
    )
    assert list(page.videos) == [video]
    watch = stub.WatchVideo(WatchVideoRequest(id=video.id), timeout=60)
    assert next(watch) == video
    watch.cancel()


def test_json_has_the_same_fields(doors: Doors, video: Video) -> None:
    documents = [ask(edge, f"/v1/videos/{video.id}") for edge in (doors.reference_edge, doors.edge)]
    documents.append(ask(doors.reads, f"/v1/videos/{video.id}"))
    documents.append(ask(doors.reads, f"/v1/videos:batchGet?ids={video.id}")["videos"][0])
    documents.append(ask(doors.edge, f"/v1/videos:batchGet?ids={video.id}")["videos"][0])
    documents.append(ask(doors.edge, f"/v1/videos?user_id={OWNER}&labels=key-1&labels=key-2")["videos"][0])
    documents.append(ask(doors.edge, f"/v1/videos/{video.id}:watch"))

    assert all(document == documents[0] for document in documents)
    assert parsed(documents[0]) == video
    assert documents[0]["labels"] == LABELS
    assert list(documents[2]["labels"]) == sorted(LABELS), "the read door's own JSON has the edge's order"


def test_video_without_them_has_empty_fields(doors: Doors) -> None:
    documents = [ask(address, f"/v1/videos/{doors.ids[0]}") for address in (doors.edge, doors.reads)]

    assert documents[0] == documents[1]
    assert (documents[0]["labels"], documents[0]["external_id"]) == ({}, "")
    assert {"expire_time", "delete_time"} & set(documents[0]) == set()


def test_json_edge_updates_and_undeletes(doors: Doors, stub: Any, video: Video) -> None:
    path = f"/v1/videos/{video.id}"
    body = {"labels": {"course": "42"}, "title": "Neu: der Film", "external_id": ""}

    updated = ask(doors.edge, f"{path}?update_mask=labels,title,externalId", "PATCH", body)
    assert {name: updated[name] for name in body} == body
    assert parsed(updated).expire_time == video.expire_time
    cleared = ask(doors.edge, f"{path}?update_mask=expire_time", "PATCH", {})
    assert "expire_time" not in cleared
    found = ask(doors.edge, "/v1/videos?labels=course%3D42&title=FILM&created_after=2026-01-01T00:00:00Z")
    assert cleared in found["videos"]

    ask(doors.edge, path, "DELETE")
    [hidden] = [
        each for each in ask(doors.edge, "/v1/videos?show_deleted=true")["videos"] if each["id"] == video.id
    ]
    assert hidden["delete_time"]
    assert stub.ListVideos(ListVideosRequest(show_deleted=True, labels=["course=42"]), timeout=60).videos[
        0
    ] == parsed(hidden)
    restored = ask(doors.edge, f"{path}:undelete", "POST", {"etag": hidden["etag"]})
    assert restored == ask(doors.reads, path)
    ask(doors.edge, f"{path}?permanent=true", "DELETE")
    with pytest.raises(grpc.RpcError) as refused:
        stub.UndeleteVideo(UndeleteVideoRequest(id=video.id), timeout=60)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError):
        stub.DeleteVideo(DeleteVideoRequest(id=video.id, permanent=True), timeout=60)
