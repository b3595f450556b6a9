"""Sends the same requests to both doors of one API: its gRPC server, and its read door.

Compares every header, trailer and byte of the replies; JSON and gRPC-Web through one Envoy for each.
test_doors_differ.py covers the intended differences.
"""

import gzip
import http.client
import json
import random
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from tests.contract.doors import UNKNOWN, Doors, batch, get
from tests.contract.raw_grpc import Reply, Request, frame

pytestmark = pytest.mark.stack

LIMIT = 1024 * 1024
DEADLINE_EXCEEDED, INTERNAL = 4, 13


def named(request: Request, number: int) -> Request:
    """Adds a unique request id, which both doors must return."""
    headers = (*request.headers, ("x-request-id", f"doors-{number}"))
    return replace(request, headers=headers)


def check(doors: Doors, requests: list[Request]) -> list[Reply]:
    """Asserts that both doors answer alike. Returns the reference's replies."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        pairs = list(pool.map(doors.both, [named(each, number) for number, each in enumerate(requests)]))
    for request, (reference, reads) in zip(requests, pairs, strict=True):
        assert reads.outcome == reference.outcome, request
    return [reference for reference, _ in pairs]


def test_known_videos_are_returned(doors: Doors) -> None:
    replies = check(doors, [get(video_id) for video_id in doors.ids])

    assert {reply.status for reply in replies} == {0}
    assert Video.FromString(replies[1].data[5:]).title == "Ünïcödé ✓"


def test_malformed_ids_are_invalid(doors: Doors) -> None:
    known = doors.ids[0]
    ids = ["", " ", "abc", known.upper(), known[:-1], known + "0", known.replace("-", ""), f"{{{known}}}"]
    ids += ["é" * 18, "\0" * 36, known + "\n", "🙈", "x" * 10_000, "0" * 36, known.replace("-", "_")]

    assert {reply.status for reply in check(doors, [get(video_id) for video_id in ids])} == {3}


def test_unknown_videos_are_not_found(doors: Doors) -> None:
    ids = [UNKNOWN, *(str(UUID(int=number)) for number in range(30))]

    assert {reply.status for reply in check(doors, [get(video_id) for video_id in ids])} == {5}


@pytest.mark.parametrize("min_version", [1, 2, 99, 2**31, 2**62, 2**63 - 1, -1, -(2**63)])
def test_min_version_is_enforced(doors: Doors, min_version: int) -> None:
    [known, unknown] = check(doors, [get(doors.ids[0], min_version), get(UNKNOWN, min_version)])

    assert (known.status, unknown.status) == (3, 3) if min_version < 0 else (0 if min_version < 2 else 9, 5)


def test_malformed_messages_are_rejected(doors: Doors) -> None:
    chance = random.Random(5)
    messages = [chance.randbytes(chance.randrange(1, 80)) for _ in range(120)]
    messages += [b"\x0a\x02\xff\xfe", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x00", b"\xff" * 11]
    requests = [
        Request(frame(message), method) for message in messages for method in ("GetVideo", "BatchGetVideos")
    ]

    assert {3} <= {reply.status for reply in check(doors, requests)} <= {0, 3, 5, 9}


def test_unknown_fields_are_ignored(doors: Doors) -> None:
    extra = b"\x7a\x04spam" + b"\xf8\x07\x01"
    message = GetVideoRequest(id=doors.ids[0]).SerializeToString()

    [reply] = check(doors, [Request(frame(extra + message + extra))])

    assert reply.status == 0


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT])
def test_message_size_limit_is_enforced(doors: Doors, size: int) -> None:
    [reply] = check(doors, [Request(frame(b"\x7a" + _varint(size - 4) + b"x" * (size - 4)))])

    assert reply.status == (8 if size > LIMIT else 3)


@pytest.mark.parametrize("length", [LIMIT + 1, 2**31, 2**32 - 1])
def test_oversized_length_prefix_is_rejected(doors: Doors, length: int) -> None:
    [reply] = check(doors, [Request(frame(b"short", length=length))])

    assert reply.status == 8


def test_extra_messages_are_handled_alike(doors: Doors) -> None:
    one, other = get(doors.ids[0]).body, get(doors.ids[1]).body

    check(doors, [Request(one + other), Request(one + b"garbage"), Request(one + b"\0")])


def test_compressed_messages_are_handled_alike(doors: Doors) -> None:
    message = GetVideoRequest(id=doors.ids[0]).SerializeToString()
    bodies = {
        "plain": frame(message),
        "flag only": frame(message, flags=1),
        "gzip": frame(gzip.compress(message), flags=1),
        "deflate": frame(zlib.compress(message), flags=1),
        "cut gzip": frame(gzip.compress(message)[:-9], flags=1),
        "gzip and more": frame(gzip.compress(message) + b"more", flags=1),
        "inflated": frame(gzip.compress(b"x" * 2 * LIMIT), flags=1),
        "nothing": frame(b"", flags=1),
    }
    encodings: list[tuple[tuple[str, str], ...]] = [()]
    encodings += [(("grpc-encoding", name),) for name in ("identity", "gzip", "deflate", "br", "")]
    pairs = [(name, body, headers) for name, body in bodies.items() for headers in encodings]
    check(doors, [Request(body, headers=headers) for _, body, headers in pairs])


@pytest.mark.parametrize("timeout", ["0n", "0S", "0m", "0H", "000000000n"])
def test_expired_deadlines_are_exceeded(doors: Doors, timeout: str) -> None:
    requests = [
        get(doors.ids[0], headers=(("grpc-timeout", timeout),)),
        get(UNKNOWN, headers=(("grpc-timeout", timeout),)),
    ]

    assert {reply.status for reply in check(doors, requests)} == {DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    "timeout", ["10S", "10 S", "1H", "99999999S", "99999999H", "999999999S", "60000m", "30000000u"]
)
def test_distant_deadlines_are_accepted(doors: Doors, timeout: str) -> None:
    [reply] = check(doors, [get(doors.ids[0], headers=(("grpc-timeout", timeout),))])

    assert reply.status == 0


@pytest.mark.parametrize(
    "timeout",
    ["", "abc", "-1S", "1", "S", "1s", "1.5S", "1SS", "0x1S", "１S".encode().decode("latin-1")],
)
def test_malformed_deadlines_are_internal_errors(doors: Doors, timeout: str) -> None:
    [reply] = check(doors, [get(doors.ids[0], headers=(("grpc-timeout", timeout),))])

    assert reply.status == INTERNAL


@pytest.mark.parametrize(
    "headers",
    [
        (("x-anything", "goes"),),
        (("x-empty", ""),),
        (("x-twice", "a"), ("x-twice", "b")),
        (("x-data-bin", b64encode(b"\x00\xff").decode()),),
        (("x-data-bin", b64encode(b"\x00\xff").decode().rstrip("=")),),
        (("x-data-bin", ""),),
        (("x-data-bin", "!!!"),),
        (("x-data-bin", "A"),),
        (("x-long", "y" * 4000),),
        (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
        (("grpc-accept-encoding", "gzip"),),
        (("user-agent", ""),),
        (("authorization", "Bearer token"),),
    ],
)
def test_unusual_metadata_is_handled_alike(doors: Doors, headers: tuple[tuple[str, str], ...]) -> None:
    check(doors, [get(doors.ids[0], headers=headers)])


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc+anything"])
def test_grpc_content_subtypes_are_handled_alike(doors: Doors, content_type: str) -> None:
    check(doors, [get(doors.ids[0], content_type=content_type)])


@pytest.mark.parametrize("given", ["a", "A.b-c_9", "x" * 64])
def test_valid_request_id_is_kept(doors: Doors, given: str) -> None:
    for reply in doors.both(get(doors.ids[0], headers=(("x-request-id", given),))):
        assert reply.trailers[b"x-request-id"] == given.encode()


@pytest.mark.parametrize("given", ["two words", "x" * 65, "-dash", "semi;colon"])
def test_invalid_request_id_is_replaced(doors: Doors, given: str) -> None:
    for reply in doors.both(get(doors.ids[0], headers=(("x-request-id", given),))):
        assert reply.trailers[b"x-request-id"] not in (b"", given.encode())


def test_batches_are_answered_alike(doors: Doors) -> None:
    ids, unknown = doors.ids, [str(UUID(int=number)) for number in range(101)]
    batches = [
        ids[:1],
        ids[:2],
        ids,
        ids[::-1],
        [ids[3]] * 100,
        [],
        [*ids, ids[0]],
        ids * 2,
        unknown[:1],
        unknown[:100],
    ]
    batches += [[*ids[:50], *unknown[:50]], [UNKNOWN, UNKNOWN], ["no id"], ["no id"] * 100, [*ids[:99], ""]]
    chance = random.Random(7)
    batches += [chance.sample(ids, chance.randrange(1, 100)) for _ in range(30)]

    replies = check(doors, [batch(*each) for each in batches])

    assert {reply.status for reply in replies} == {0, 3, 5}


def test_hundred_missing_videos_fit_client_metadata_limit(doors: Doors) -> None:
    missing = [str(UUID(int=number)) for number in range(100)]
    for address in (doors.reference, doors.reads):
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
            VideoServiceStub(channel).BatchGetVideos(BatchGetVideosRequest(ids=missing), timeout=60)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


JSON = ["/v1/videos/{known}", "/v1/videos/{known}?min_version=1", "/v1/videos/{known}?min_version=99"]
JSON += ["/v1/videos/{known}?min_version=x", "/v1/videos/{known}?spam=1", f"/v1/videos/{UNKNOWN}"]
JSON += ["/v1/videos/abc", "/v1/videos/%C3%A9", "/v1/videos:batchGet", f"/v1/videos:batchGet?ids={UNKNOWN}"]
JSON += ["/v1/videos:batchGet?ids={known}&ids={other}", "/v1/videos:batchGet?ids=abc&ids={known}"]


@pytest.mark.parametrize("target", JSON)
def test_json_replies_are_equal(doors: Doors, target: str) -> None:
    path = target.format(known=doors.ids[0], other=doors.ids[1])

    expected, found = (_http(address, "GET", path) for address in (doors.reference_edge, doors.edge))

    assert found == expected
    assert json.loads(expected[2])


def test_grpc_web_replies_are_equal(doors: Doors) -> None:
    for request in (
        get(doors.ids[0]),
        get(UNKNOWN),
        get("abc"),
        batch(*doors.ids),
        batch(),
        Request(frame(b"\xff")),
    ):
        for suffix in ("", "+proto", "-text"):
            body = b64encode(request.body) if suffix == "-text" else request.body
            headers = {
                "content-type": f"application/grpc-web{suffix}",
                "x-grpc-web": "1",
                "x-request-id": "web",
            }
            path = f"/gostream.v1.VideoService/{request.method}"
            expected, found = (
                _http(each, "POST", path, body, headers) for each in (doors.reference_edge, doors.edge)
            )
            assert found == expected


def _http(
    address: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, {"x-request-id": "json"} | (headers or {}))
        response = connection.getresponse()
        hop = {"date", "server", "x-envoy-upstream-service-time", "grpc-accept-encoding", "accept-encoding"}
        shown = {name.lower(): value for name, value in response.getheaders()}
        return response.status, {k: v for k, v in shown.items() if k not in hop}, response.read()
    finally:
        connection.close()


def _varint(number: int) -> bytes:
    message = GetVideoRequest(min_version=number).SerializeToString()
    return message[1:]
