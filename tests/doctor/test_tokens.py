"""`gostream doctor` with tokens that the API refuses."""

import time

from cli.tests.conftest import Gostream
from tests.doctor.conftest import report_of
from tests.trust.conftest import StartApi
from tests.trust.conftest import start_api as start_api
from tests.trust.tokens import signed

ALL = "videos:read videos:write videos:admin"


async def test_expired_token_is_named(gostream: Gostream, start_api: StartApi) -> None:
    api = await start_api()
    token = signed(sub="ann", scope=ALL, exp=int(time.time()) - 60)
    ran = await gostream("doctor", "--json", GOSTREAM_API_ADDR=f"127.0.0.1:{api.port}", GOSTREAM_TOKEN=token)
    report = report_of(ran)

    assert (report.code, report.variables) == (1, {"GOSTREAM_TOKEN"})
    assert "expired" in ran.stdout
    assert token not in ran.stdout + ran.stderr


async def test_good_token_passes(gostream: Gostream, start_api: StartApi) -> None:
    api = await start_api()
    token = signed(sub="ann", scope=ALL)
    ran = await gostream("doctor", "--json", GOSTREAM_API_ADDR=f"127.0.0.1:{api.port}", GOSTREAM_TOKEN=token)

    assert report_of(ran).variables <= {"REDIS_HOST"}  # the bus of a new API is not live at once
