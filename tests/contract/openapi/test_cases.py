"""Requests that schemathesis makes from the OpenAPI document, against the JSON edge of a running stack.

`make fuzz-json` installs schemathesis and runs this file; GOSTREAM_JSON_CASES is another number of cases.
"""

import asyncio
import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import CreateVideoRequest, TriggerProcessRequest, WatchVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.envoy import Envoy
from tests.support.repository import ROOT

PROGRAM = Path(sys.executable).with_name("schemathesis")

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not PROGRAM.exists(), reason="needs schemathesis: make fuzz-json"),
]

CASES = int(os.environ.get("GOSTREAM_JSON_CASES") or 2000)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)


@pytest.fixture
def videos(stack: Stack) -> dict[str, list[str]]:
    """Ids for the requests: of a video that has FAILED, so that a watch of it ends, and of new videos."""
    with grpc.insecure_channel(stack.apis[0].address) as channel:
        stub = VideoServiceStub(channel)
        new = [
            stub.CreateVideo(CreateVideoRequest(title=f"{number}", size_bytes=4), timeout=60)
            for number in range(60)
        ]
        failed = new[0]
        headers = {**failed.upload.headers, "Content-Length": "4"}
        request = urllib.request.Request(failed.upload.url, b"junk", headers, method="PUT")  # noqa: S310
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310
        stub.TriggerProcess(TriggerProcessRequest(id=failed.video.id), timeout=60)
        *_, last = stub.WatchVideo(WatchVideoRequest(id=failed.video.id), timeout=300)
        assert last.status == Video.STATUS_FAILED
    return {"failed": [failed.video.id], "new": [each.video.id for each in new[1:]]}


class Patient(Envoy):
    """A JSON edge that leaves no replica which a busy machine delays: 503 is an error here."""

    def prepare(self) -> None:
        super().prepare()
        config = self.directory / "envoy.json"
        text = config.read_text()
        assert text.count('"timeout": "1s"') == 2, "of the health checks"
        self.directories.write(config, text.replace('"timeout": "1s"', '"timeout": "60s"'))


@pytest.fixture
def edge(stack: Stack, tmp_path: Path) -> Iterator[Envoy]:
    home, ports = Directories.at(tmp_path / "edge"), Ports({})
    with ExitStack() as running:
        running.callback(home.remove)
        envoy = Patient(home, ports.pick("edge"), ports.pick("admin"), stack.apis)
        running.callback(envoy.stop)
        envoy.start()
        envoy.wait_for_apis(timeout=120)
        yield envoy


async def test_every_answer_is_documented(edge: Envoy, videos: dict[str, list[str]]) -> None:
    document = ROOT / "protos/gen/openapi.json"
    operations = sum(map(len, json.loads(document.read_text())["paths"].values()))
    command: list[str | Path] = [
        *(PROGRAM, "run", document, "--url", edge.url),
        *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--mode", "all"),
        *("--max-examples", str(-(-CASES // operations)), "--request-timeout", "60", "--seed", "1"),
        *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.contract.openapi.hooks", "GOSTREAM_CASE_IDS": json.dumps(videos)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=os.environ | hooks, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 3500)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    report = output.decode()
    print(report)
    assert process.returncode == 0, report
    [cases] = re.findall(r"(\d[\d,]*) generated", report)
    assert int(cases.replace(",", "")) >= CASES
