"""`gostream doctor` on the real stack: healthy, and with planted faults."""

import socket

import pytest

from gostream_client import AsyncClient
from tests.doctor.conftest import Doctor

pytestmark = pytest.mark.stack


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_healthy_deployment_passes_and_leaves_nothing(doctor: Doctor, client: AsyncClient) -> None:
    report = await doctor()
    page = await client.list_videos_page(title="gostream doctor", show_deleted=True)

    assert (report.code, report.document["ok"]) == (0, True), report
    names = {each["name"] for each in report.document["checks"] if each["is_good"]}
    assert names >= {"health", "API", "bus", "upload", "privacy", "read door", "JSON edge"}
    assert [video.id for video in page.videos] == []


@pytest.mark.parametrize("variable", ["GOSTREAM_API_ADDR", "GOSTREAM_READ_ADDR", "GOSTREAM_HTTP_URL"])
async def test_wrong_address_is_named(doctor: Doctor, variable: str) -> None:
    address = f"127.0.0.1:{closed_port()}"
    changes = {variable: f"http://{address}" if variable == "GOSTREAM_HTTP_URL" else address}
    report = await doctor(**changes)

    assert report.code == 1
    assert report.variables == {variable}


async def test_origin_that_may_not_call_is_named(doctor: Doctor) -> None:
    report = await doctor("--origin", "https://evil.example")

    assert (report.code, report.variables) == (1, {"EDGE_CORS_ORIGINS"})
