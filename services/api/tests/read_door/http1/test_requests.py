"""HTTP/1.1 requests as bytes: what is answered, what is refused, and how connections go on."""

import asyncio
import json
import shutil
from typing import Any

import pytest

from gostream_api.read_door.limits import MAX_HEAD, MAX_HEADERS
from tests.support.wire.raw_http import request

HOT, COLD, ABSENT = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))
USUAL = request(f"/v1/videos/{HOT}")


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        (f"/v1/videos/{HOT}", 200, None),
        (f"/v1/videos/{HOT}?min_version=1", 200, None),
        (f"/v1/videos/%30{HOT[1:]}", 200, None),
        (f"http://localhost/v1/videos/{HOT}", 200, None),
        (f"/v1/videos:batchGet?ids={HOT}&ids={HOT}", 200, None),
        (f"/v1/videos/{ABSENT}", 404, f"video {ABSENT} was not found"),
        ("/v1/videos/a%2Fb", 400, "id: must be a UUID in its canonical lower-case form"),
        ("/v1/videos/%", 400, "id: must be a UUID in its canonical lower-case form"),
        ("/v1/videos/%ff%00", 400, "id: must be a UUID in its canonical lower-case form"),
        (f"/v1/videos/{HOT}#x", 400, "invalid request (Bad Request)"),
        ("*", 400, "invalid request (Bad Request)"),
        ("ftp://localhost/v1/videos/x", 400, "invalid request (Bad Request)"),
        ("/v1/videos:batchGet", 400, "ids: must be 1 to 100 ids"),
    ],
)
async def test_targets_are_answered(
    started: Any, dial: Any, target: str, status: int, message: str | None
) -> None:
    response = await (await dial(started)).ask(request(target))

    assert (response.status, response.headers["content-type"]) == (status, "application/json")
    assert response.json.get("message") == message


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/x", "/v1/videos", "/v1/videos/", "/v1/videos:batchget", "http://localhost"),
        *(f"//v1/videos/{HOT}", f"/v1/videos/{HOT}/", f"/v1/videos/{HOT}:watch", f"/v1/%76ideos/{HOT}"),
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_other_paths_name_full_server(started: Any, dial: Any, target: str) -> None:
    response = await (await dial(started)).ask(request(target))

    assert (response.status, response.json["code"]) == (404, 5)
    assert "the gRPC server on port 50051" in response.json["message"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_not_allowed(started: Any, dial: Any, method: str) -> None:
    client = await dial(started)
    client.send(request(f"/v1/videos/{HOT}", method=method))
    response = await client.response(has_body=method != "HEAD")

    assert (response.status, response.headers["allow"]) == (405, "GET")
    assert (await client.ask(USUAL)).status == 200


async def test_replies_name_layer_and_request(started: Any, dial: Any) -> None:
    client = await dial(started)
    named = await client.ask(request(f"/v1/videos/{HOT}", "X-Request-Id: mine"))
    wrong = await client.ask(request(f"/v1/videos/{HOT}", "X-Request-Id: not mine"))
    first, second = await client.ask(USUAL), await client.ask(USUAL)

    assert (named.headers["x-cache"], named.headers["x-request-id"]) == ("L1", "mine")
    assert len({each.headers["x-request-id"] for each in (named, wrong, first, second)}) == 4
    assert len(wrong.headers["x-request-id"]) == 32
    assert first.body == named.body
    assert "connection" not in first.headers


async def test_request_may_arrive_in_two_parts(started: Any, dial: Any) -> None:
    client = await dial(started)
    whole = (await client.ask(USUAL)).body
    for at in range(1, len(USUAL)):
        client.send(USUAL[:at])
        await client.writer.drain()
        await asyncio.sleep(0.001)
        assert (await client.ask(USUAL[at:])).body == whole


async def test_request_may_arrive_byte_by_byte(started: Any, dial: Any) -> None:
    client = await dial(started)
    for byte in USUAL:
        client.send(bytes((byte,)))
        await asyncio.sleep(0.001)

    assert (await client.response()).status == 200


async def test_pipelined_requests_are_answered_in_order(started: Any, dial: Any) -> None:
    client = await dial(started)
    targets = [f"/v1/videos/{HOT}", "/x", f"/v1/videos/{COLD}", f"/v1/videos/{ABSENT}", "/v1/videos/abc"] * 50
    client.send(b"".join(request(target) for target in targets))
    statuses = [(await client.response()).status for _ in range(2)]
    started.reads.loaded.set()
    statuses += [(await client.response()).status for _ in targets[2:]]

    assert statuses == [200, 404, 200, 404, 400] * 50


async def test_short_path_reads_only_usual_requests(started: Any, dial: Any) -> None:
    client = await dial(started)
    await client.ask(USUAL)  # is learnt
    tail = USUAL[len("GET /v1/videos/") + 36 :]
    inside = b"a HTTP/1.1\r\nHost: b\r\nX-Pad: " + b"p" * 8
    odd = [b"x" * 36, inside[:36].ljust(36, b"p"), HOT.upper().encode().replace(b"0", b"A"), b"?" * 36]

    for target in odd:
        assert len(target) == 36
        response = await (await dial(started)).ask(b"GET /v1/videos/" + target + tail)
        assert response.status in {400, 404}
    twice = await client.ask(USUAL + USUAL)
    assert (twice.status, (await client.response()).status) == (200, 200)


@pytest.mark.parametrize(
    "data",
    [
        request("/x", "Content-Length: 5", "Content-Length: 5") + b"hello",
        request("/x", "Content-Length: 5", "Content-Length: 6") + b"hello!",
        request("/x", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request("/x", "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
        request("/x", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request("/x", "Transfer-Encoding: gzip"),
        request("/x", "Transfer-Encoding: xchunked"),
        request("/x", "Transfer-Encoding : chunked"),
        request("/x", "Content-Length: 5") + b"hello",
        request("/x", "Content-Length: +5") + b"hello",
        request("/x", "Content-Length: 0x5") + b"hello",
        request("/x", "Content-Length: 5, 5") + b"hello",
        request("/x", "Content-Length:") + b"hello",
        request("/x", "Expect: 100-continue", "Content-Length: 5"),
        request("/x", "X: a\r\n b"),
        request("/x", "X: a\0b"),
        request("/x", "X: a\rb"),
        request("/x", "a b: c"),
        request("/x", ": c"),
        request("/x", "Host: other"),
        request("/x").replace(b"Host: localhost\r\n", b""),
        request("/x").replace(b"\r\n", b"\n"),
        request("/x", method="FOO"),
        request("/x", method="get"),
        request("/\xe9"),
        request("x"),
        request("/x", version="1.2"),
        b"GET /x\0 HTTP/1.1\r\n\r\n",
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 64,
    ],
)
async def test_malformed_requests_end_connection(started: Any, dial: Any, data: bytes) -> None:
    client = await dial(started)
    client.send(data + USUAL)
    response = await client.response()

    assert (response.status, response.json["code"]) == (400, 3)
    assert response.headers["connection"] == "close"
    assert await client.end() == b""


@pytest.mark.parametrize("version", ["2.0", "0.9"])
async def test_unknown_versions_are_refused(started: Any, dial: Any, version: str) -> None:
    client = await dial(started)

    assert (await client.ask(request("/x", version=version))).status == 505
    assert await client.end() == b""


@pytest.mark.parametrize(
    "data",
    [
        request(f"/v1/videos/{HOT}", "Connection: close"),
        request(f"/v1/videos/{HOT}", version="1.0"),
        request(f"/v1/videos/{HOT}", "Connection: keep-alive", version="1.0"),
        request(f"/v1/videos/{HOT}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
        request(f"/v1/videos/{HOT}", "Connection: Upgrade", "Upgrade: websocket"),
    ],
)
async def test_last_requests_are_answered(started: Any, dial: Any, data: bytes) -> None:
    client = await dial(started)
    response = await client.ask(data + USUAL)

    assert (response.status, response.headers["connection"]) == (200, "close")
    assert await client.end() == b""


@pytest.mark.parametrize(
    "data",
    [
        request(f"/v1/videos/{'x' * MAX_HEAD}"),
        request(f"/v1/videos/{HOT}", f"X-Long: {'y' * MAX_HEAD}"),
        request(f"/v1/videos/{HOT}", *(f"X-{number}: y" for number in range(MAX_HEADERS))),
        request(f"/v1/videos/{HOT}", f"X-Endless: {'y' * 3 * MAX_HEAD}")[:-4],
        b"GET /" + b"x" * 3 * MAX_HEAD,
    ],
)
async def test_large_heads_are_refused(started: Any, dial: Any, data: bytes) -> None:
    client = await dial(started)
    response = await client.ask(data)

    assert (response.status, response.json["code"]) == (431, 8)
    assert await client.end() == b""


async def test_hundred_ids_fit_request(started: Any, dial: Any) -> None:
    ids = "&".join([f"ids={HOT}"] * 100)
    response = await (await dial(started)).ask(request(f"/v1/videos:batchGet?{ids}"))

    assert (response.status, len(response.json["videos"])) == (200, 100)


async def test_json_is_built_once(started: Any, dial: Any) -> None:
    client = await dial(started)
    for target in [f"/v1/videos/{HOT}", f"/v1/videos:batchGet?ids={HOT}&ids={HOT}"] * 3:
        assert (await client.ask(request(target))).status == 200

    assert started.reads.conversions == 1


async def test_curl_reads_videos(started: Any) -> None:
    if not (curl := shutil.which("curl")):
        pytest.skip("curl is not installed")
    url = f"http://127.0.0.1:{started.port}/v1/videos/{HOT}"
    process = await asyncio.create_subprocess_exec(
        *(curl, "-sS", "-m", "20", url, url, "--next", "-sS", "-m", "20", "--http2", url),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert process.returncode == 0
    decoder, text, found = json.JSONDecoder(), out.decode(), []
    while text:
        video, end = decoder.raw_decode(text)
        found.append(video)
        text = text[end:]
    assert [video["id"] for video in found] == ["x"] * 3
