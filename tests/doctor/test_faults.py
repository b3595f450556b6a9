"""`gostream doctor` names the variable of an API whose settings or backends are wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from cli.tests.conftest import Gostream
from gostream_devstack.servers.postgres import Postgres
from services.api.tests.conftest import Api
from services.api.tests.conftest import environment as environment
from services.api.tests.conftest import start_api as start_api
from tests.doctor.conftest import Report, report_of
from tests.doctor.test_deployments import closed_port

StartApi = Callable[..., Awaitable[Api]]


async def examined(gostream: Gostream, api: Api) -> Report:
    return report_of(await gostream("doctor", "--json", GOSTREAM_API_ADDR=f"127.0.0.1:{api.port}"))


@asynccontextmanager
async def web_server(status: int, *, seconds_ago: float = 0) -> AsyncIterator[str]:
    """A web server that answers everything alike. Yields its URL."""

    async def answer(_: web.Request) -> web.Response:
        date = formatdate(time.time() - seconds_ago, usegmt=True)
        return web.Response(status=status, text="<html>", headers={"Date": date})

    runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]  # a narrower request in fact
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_dead_public_endpoint_is_named(gostream: Gostream, start_api: StartApi) -> None:
    api = await start_api(S3_PUBLIC_ENDPOINT_URL=f"http://127.0.0.1:{closed_port()}")

    report = await examined(gostream, api)
    assert (report.code, report.variables) == (1, {"S3_PUBLIC_ENDPOINT_URL"})


@pytest.mark.slow
async def test_public_endpoint_of_another_server_is_named(gostream: Gostream, start_api: StartApi) -> None:
    async with web_server(405) as url:
        report = await examined(gostream, await start_api(S3_PUBLIC_ENDPOINT_URL=url))

    assert (report.code, report.variables) == (1, {"S3_PUBLIC_ENDPOINT_URL"})


async def test_wrong_clock_is_found(gostream: Gostream, start_api: StartApi) -> None:
    async with web_server(200, seconds_ago=1200) as url:
        report = await examined(gostream, await start_api(S3_PUBLIC_ENDPOINT_URL=url))

    found = {each["name"]: each for each in report.document["checks"]}
    assert found["clock of the object store"]["is_good"] is False
    assert "s ahead of it" in found["clock of the object store"]["text"]
    assert found["clock of the database"]["is_good"] is True


async def test_dead_redis_is_named(gostream: Gostream, start_api: StartApi) -> None:
    report = await examined(gostream, await start_api(REDIS_PORT=str(closed_port())))

    assert (report.code, report.variables) == (1, {"REDIS_HOST"})


@pytest.mark.slow
@pytest.mark.direct_database
async def test_stopped_database_is_named(
    gostream: Gostream, start_api: StartApi, postgres_server: Postgres
) -> None:
    api = await start_api()
    await asyncio.to_thread(postgres_server.stop)

    report = await examined(gostream, api)
    assert report.code == 1
    assert "DATABASE_URL" in report.variables
