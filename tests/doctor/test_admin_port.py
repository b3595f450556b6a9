"""The admin port: who is answered there, and that no other door answers for it."""

import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from grpc import aio

from gostream.v1.admin_service_pb2 import ExplainVideoRequest
from gostream.v1.admin_service_pb2_grpc import AdminServiceStub
from gostream.v1.video_service_pb2 import DeleteVideoRequest
from gostream_api.config import ApiConfig
from gostream_shared.config import ConfigError, load
from tests.trust.conftest import Api, Metadata, StartApi, outcome
from tests.trust.conftest import start_api as start_api
from tests.trust.test_matrix import ALICE, BOB, callers, strangers

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "trust/matrix.yaml").read_text())[
    "admin port"
]
KINDS = ("own", "other", "deleted", "absent")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def _answer(port: int, video_id: str, metadata: Metadata) -> str:
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = AdminServiceStub(channel)
        call = stub.ExplainVideo(ExplainVideoRequest(id=video_id), metadata=metadata, timeout=60)
        return str(await outcome(call))


async def _videos(api: Api) -> dict[str, str]:

    found = {"own": await api.create(ALICE), "other": await api.create(BOB), "absent": str(uuid4())}
    found["deleted"] = await api.create(ALICE)
    await api.stub.DeleteVideo(DeleteVideoRequest(id=found["deleted"]), metadata=api.admin, timeout=60)
    return found


async def test_only_operators_are_answered(start_api: StartApi) -> None:
    port = _free_port()
    api = await start_api(ADMIN_PORT=str(port))
    ids, known = await _videos(api), callers()
    assert set(TABLE["ExplainVideo"]) == set(known)

    seen = {
        who: {kind: await _answer(port, ids[kind], known[who]) for kind in KINDS}
        for who in TABLE["ExplainVideo"]
    }

    assert seen == TABLE["ExplainVideo"]


async def test_strangers_are_refused(start_api: StartApi) -> None:
    port = _free_port()
    api = await start_api(ADMIN_PORT=str(port))
    video_id = await api.create(ALICE)

    for who, metadata in strangers().items():
        assert await _answer(port, video_id, metadata) == "UNAUTHENTICATED TOKEN_INVALID", who


async def test_other_doors_do_not_answer(start_api: StartApi) -> None:
    api = await start_api(ADMIN_PORT=str(_free_port()))
    video_id = await api.create(ALICE)

    for port in (api.port, api.read_port):
        assert (await _answer(port, video_id, api.admin)).startswith("UNIMPLEMENTED")


async def test_port_is_closed_by_default(start_api: StartApi) -> None:
    await start_api()

    assert load(ApiConfig, {"DATABASE_URL": "postgresql://x@h/d"}).admin_port == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])  # noqa: S104 - refused
def test_open_port_needs_authentication(host: str) -> None:
    with pytest.raises(ConfigError, match="ADMIN_HOST"):
        load(ApiConfig, {"DATABASE_URL": "postgresql://x@h/d", "ADMIN_HOST": host, "ADMIN_PORT": "50061"})


@pytest.mark.parametrize("name", ["API_PORT", "READ_PORT"])
def test_port_is_its_own(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(ApiConfig, {"DATABASE_URL": "postgresql://x@h/d", name: "50061", "ADMIN_PORT": "50061"})
