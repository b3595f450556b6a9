"""The read door answers JSON requests as the JSON edge (Envoy's transcoder) in front of the same API does."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.envoy import Envoy
from tests.support.wire.raw_http import RawHttp, Response, request

pytestmark = [pytest.mark.stack, pytest.mark.slow]

UNKNOWN = "01890000-0000-7000-8000-000000000001"
VIDEO = ["", "?", "?&", "?=1", "?min_version=1", "?minVersion=1", "?min_version", "?%6din_version=%31"]
VIDEO += [f"?min_version={text}" for text in ("99", "-1", "x", "", "1.0", "1e0", "+1", "01", "%201", "0x1")]
VIDEO += [f"?min_version={number}" for number in (2**63 - 1, 2**63, -(2**63), 10**40)]
VIDEO += ["?min_version=99&min_version=1", "?min_version=1;a=2", "?min_version=%zz", "?min_version=1&&"]
VIDEO += ["?spam=1", "?ids=1", "?$alt=json", '?min_version="1"']
TARGETS = [f"/v1/videos/{{known}}{query}" for query in VIDEO]
TARGETS += [f"/v1/videos/{text}" for text in (UNKNOWN, "abc", "%C3%A9", "%", "%zz", "a%2Fb", "a:b", "a+b")]
TARGETS += ["/v1/videos/{known}:x", "/v1/videos/{known};x=1", "/v1/videos/%30", "/v1/videos/" + "x" * 3000]
TARGETS += ["http://localhost/v1/videos/{known}"]
BATCHES = [
    "",
    "?",
    "?ids",
    "?ids=",
    f"?ids={UNKNOWN}",
    "?ids={known}",
    "?ids={known}&ids={other}&ids={known}",
]
BATCHES += [
    "?ids={known},{other}",
    "?ids={known}%2C{other}",
    "?id={known}",
    "?spam=1",
    "?ids=abc&ids={known}",
]
BATCHES += ["?" + "&".join(f"ids={UUID(int=n)}" for n in range(count)) for count in (3, 100, 101)]
TARGETS += [f"/v1/videos:batchGet{query}" for query in BATCHES]
OTHERS = [request("/v1/videos/{known}", method=method) for method in ("POST", "PUT", "OPTIONS", "TRACE")]
OTHERS += [request("/v1/videos:batchGet", method="POST"), request("*"), request("/\xe9"), request("x")]
OTHERS += [request("/x", "Content-Length: 1", "Content-Length: 1"), request("/x", "Transfer-Encoding : x")]
OTHERS += [request("/x", "X: " + "y" * 70_000), request("/x", *(f"X-{n}: y" for n in range(101)))]
#: Details in words, which name a port or a method that the other does not have.
WORDS = {404, 405}


async def test_json_replies_equal_those_of_edge(start_api: Any, tmp_path_factory: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        read_port = probe.getsockname()[1]
    api = await start_api(READ_PORT=str(read_port))
    await api.warm()
    ids = [(await api.create(title=title)).video.id for title in ("Plain", 'Ünï <&> ✓ "q" \\ /')]
    home, ports = Directories.at(tmp_path_factory.mktemp("edge")), Ports({})
    full = SimpleNamespace(port=api.port, read_port=api.port)  # Envoy translates the replies of gRPC
    edge = Envoy(home, ports.pick("edge"), ports.pick("edge-admin"), [full])
    await asyncio.to_thread(edge.start)
    try:
        await asyncio.to_thread(edge.wait_for_apis)
        for data in [*map(request, TARGETS), *OTHERS]:
            named = data.replace(b"{known}", ids[0].encode()).replace(b"{other}", ids[1].encode())
            named = named.replace(b"\r\nHost", b"\r\nX-Request-Id: same\r\nHost", 1)
            expected, answer = await _ask(edge.port, named), await _ask(read_port, named)
            assert answer.status == expected.status, named
            assert answer.headers["content-type"] == expected.headers["content-type"], named
            if "details" in expected.json or expected.status == 200:
                assert answer.headers["x-request-id"] == "same"
            if answer.status in WORDS and "details" not in expected.json:
                assert answer.json["code"] == expected.json["code"], named
            else:
                assert answer.json == expected.json, named
    finally:
        await asyncio.to_thread(edge.stop)
        home.remove()


async def _ask(port: int, data: bytes) -> Response:
    client = await RawHttp.open(port)
    try:
        return await asyncio.wait_for(client.ask(data), 30)
    finally:
        client.writer.transport.abort()
