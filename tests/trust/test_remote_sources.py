"""Who may name a URL or an object as the source of a video."""

from typing import Any

import pytest

from gostream.v1.video_service_pb2 import CreateVideoRequest, TriggerProcessRequest
from tests.trust.conftest import StartApi, caller, outcome

URL = "https://films.example.com/a.mp4"


def named(**source: Any) -> CreateVideoRequest:
    return CreateVideoRequest(title="Film", **source)


@pytest.mark.parametrize(
    ("scopes", "source", "expected"),
    [
        (("write",), {"source_url": URL}, "OK"),
        (("read",), {"source_url": URL}, "PERMISSION_DENIED SCOPE_MISSING"),
        (("write",), {"source_key": "films/a.mp4"}, "PERMISSION_DENIED SCOPE_MISSING"),
        (("write",), {"source_key": "uploads/x/source"}, "PERMISSION_DENIED SCOPE_MISSING"),
        (("write", "admin"), {"source_key": "uploads/x/source"}, "INVALID_ARGUMENT FIELD_INVALID"),
        (("write", "admin"), {"source_key": "films/a.mp4"}, "FAILED_PRECONDITION SOURCE_UNREACHABLE"),
    ],
)
async def test_key_requires_the_scope_admin(
    start_api: StartApi, scopes: tuple[str, ...], source: dict[str, str], expected: str
) -> None:
    api = await start_api(SOURCE_KEY_PREFIXES="films/")
    call = api.stub.CreateVideo(named(**source), metadata=caller("alice", *scopes), timeout=60)

    assert str(await outcome(call)) == expected


async def test_others_fetch_cannot_be_repeated(start_api: StartApi) -> None:
    api = await start_api()
    alice, bob = caller("alice", "read", "write"), caller("bob", "read", "write")
    created = await api.stub.CreateVideo(named(source_url=URL), metadata=alice, timeout=60)

    call = api.stub.TriggerProcess(TriggerProcessRequest(id=created.video.id), metadata=bob, timeout=60)

    assert str(await outcome(call)) == "NOT_FOUND VIDEO_NOT_FOUND"
