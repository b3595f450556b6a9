"""The cross-tenant matrix: doors, calls, callers and videos, with the exact answers of matrix.yaml."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from gostream.v1 import event_service_pb2 as events
from gostream.v1 import track_service_pb2 as tracks
from gostream.v1 import upload_service_pb2 as uploads
from gostream.v1 import video_service_pb2 as messages
from gostream.v1 import webhook_service_pb2 as hooks
from gostream.v1.video_pb2 import PlaybackPolicy, Track, Video
from gostream.v1.webhook_pb2 import Webhook
from gostream.v1.webhook_service_pb2_grpc import WebhookServiceStub
from tests.trust.conftest import Api, Door, bearer, caller
from tests.trust.edge_doors import EdgeDoor
from tests.trust.outcomes import Metadata, Outcome, outcome
from tests.trust.tokens import PRIVATE, all_keys, assembled, claims, key_set, public_jwk, signed

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "matrix.yaml").read_text())
DOORS = ["grpc.aio", "read door"]
#: Through Envoy.
EDGES = ["JSON", "gRPC-Web"]
ALICE, BOB = "corp:alice", "corp:bob"
SUBJECT = ("x-gostream-subject", ALICE)
#: Cells that run at the same time.
_AT_ONCE = 8
URL = "https://receiver.example/hook"
REMOVED = Ed25519PrivateKey.generate()


def _update(video_id: str, etag: str = "") -> messages.UpdateVideoRequest:
    video = Video(id=video_id, playback_policy=PlaybackPolicy.PLAYBACK_POLICY_OFF)
    return messages.UpdateVideoRequest(
        video=video, update_mask=FieldMask(paths=["playback_policy"]), etag=etag
    )


CALLS: dict[str, Any] = {
    "GetVideo": lambda video_id: messages.GetVideoRequest(id=video_id),
    "GetVideo of a later version": lambda video_id: messages.GetVideoRequest(id=video_id, min_version=99),
    "BatchGetVideos": lambda video_id: messages.BatchGetVideosRequest(ids=[video_id]),
    "WatchVideo": lambda video_id: messages.WatchVideoRequest(id=video_id),
    "TriggerProcess": lambda video_id: messages.TriggerProcessRequest(id=video_id),
    "CancelProcess": lambda video_id: messages.CancelProcessRequest(id=video_id),
    "DeleteVideo": lambda video_id: messages.DeleteVideoRequest(id=video_id),
    "DeleteVideo with a wrong etag": lambda video_id: messages.DeleteVideoRequest(id=video_id, etag='"99"'),
    "DeleteVideo for good": lambda video_id: messages.DeleteVideoRequest(id=video_id, permanent=True),
    "UndeleteVideo": lambda video_id: messages.UndeleteVideoRequest(id=video_id),
    "UpdateVideo": lambda video_id: _update(video_id),
    "UpdateVideo with a wrong etag": lambda video_id: _update(video_id, etag='"99"'),
    "RevokePlayback": lambda video_id: messages.RevokePlaybackRequest(id=video_id),
    "GetPlaybackInfo": lambda video_id: messages.GetPlaybackInfoRequest(id=video_id),
    "CreateUpload": lambda video_id: uploads.CreateUploadRequest(video_id=video_id),
    "GetUpload": lambda video_id: uploads.GetUploadRequest(video_id=video_id),
    "SignParts": lambda video_id: uploads.SignPartsRequest(
        video_id=video_id, generation=1, parts=[uploads.SignPartsRequest.Part(number=1, md5=bytes(16))]
    ),
    "CompleteUpload": lambda video_id: uploads.CompleteUploadRequest(video_id=video_id, generation=1),
    "AbortUpload": lambda video_id: uploads.AbortUploadRequest(video_id=video_id),
    "GetWebhook": lambda webhook_id: hooks.GetWebhookRequest(id=webhook_id),
    "UpdateWebhook": lambda webhook_id: hooks.UpdateWebhookRequest(
        webhook=Webhook(id=webhook_id, types=["video.ready"])
    ),
    "DeleteWebhook": lambda webhook_id: hooks.DeleteWebhookRequest(id=webhook_id),
    "RotateWebhookSecret": lambda webhook_id: hooks.RotateWebhookSecretRequest(id=webhook_id),
    "TestWebhook": lambda webhook_id: hooks.TestWebhookRequest(id=webhook_id),
    "ListDeliveries": lambda webhook_id: hooks.ListDeliveriesRequest(webhook_id=webhook_id),
    "Redeliver": lambda webhook_id: hooks.RedeliverRequest(webhook_id=webhook_id, since=Timestamp(seconds=1)),
    "CreateWebhook": lambda owner: hooks.CreateWebhookRequest(url=URL, user_id=owner),
    "ListWebhooks": lambda owner: hooks.ListWebhooksRequest(user_id=owner),
    "AddTrack": lambda video_id: tracks.AddTrackRequest(
        video_id=video_id, kind=Track.Kind.KIND_SUBTITLES, language="de", size_bytes=4
    ),
    "PrepareTrack": lambda video_id: tracks.PrepareTrackRequest(video_id=video_id, id=str(uuid4())),
    "UpdateTrack": lambda video_id: tracks.UpdateTrackRequest(
        video_id=video_id, track=Track(id=str(uuid4()), name="Deutsch")
    ),
    "DeleteTrack": lambda video_id: tracks.DeleteTrackRequest(video_id=video_id, id=str(uuid4())),
    "ListTracks": lambda video_id: tracks.ListTracksRequest(video_id=video_id),
    "CreateVideo": lambda owner: messages.CreateVideoRequest(title="New", size_bytes=4, user_id=owner),
    "ListVideos": lambda owner: messages.ListVideosRequest(user_id=owner),
    "ListEvents": lambda owner: events.ListEventsRequest(user_id=owner),
    "WatchEvents": lambda owner: events.WatchEventsRequest(user_id=owner),
}

#: The calls on a webhook instead of a video.
WEBHOOK_CALLS = {method.name for method in hooks.DESCRIPTOR.services_by_name["WebhookService"].methods}


def callers() -> dict[str, Metadata]:
    """The callers with a good token."""
    return {
        "reader": caller("alice", "read"),
        "writer": caller("alice", "write"),
        "player": caller("alice", "play"),
        "owner": caller("alice", "read", "write"),
        "admin": caller("root", "read", "write", "admin"),
        "admin scope alone": caller("root", "admin"),
        "no scope": caller("alice"),
        "service for alice": (*caller("service", "read", "write", "act-as"), SUBJECT),
        "actor without scope": (*caller("service", "read", "write"), SUBJECT),
    }


def strangers() -> dict[str, Metadata]:
    """The callers whose token proves nothing."""
    now = int(time.time())
    public = PRIVATE["EdDSA"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hmac = {"alg": "HS256", "kid": "EdDSA"}
    unsigned = assembled(hmac, claims()).rpartition(".")[0]
    forged = assembled(hmac, claims(), jwt.get_algorithm_by_name("HS256").sign(unsigned.encode(), public))
    return {
        "no token": (),
        "garbage": bearer("garbage"),
        "basic authorization": (("authorization", "Basic YWxpY2U6c2VjcmV0"),),
        "two tokens": bearer(signed()) + bearer(signed()),
        "unsigned": bearer(assembled({"alg": "none", "kid": "EdDSA"}, claims())),
        "hmac with the public key": bearer(forged),
        "another key": bearer(signed(key=Ed25519PrivateKey.generate())),
        "expired": bearer(signed(exp=now - 1)),
        "not valid yet": bearer(signed(nbf=now + 600)),
        "wrong issuer": bearer(signed(iss="https://other.test")),
        "wrong audience": bearer(signed(aud="other")),
        "unknown key id": bearer(signed(header={"kid": "unknown"})),
        "removed key": bearer(signed(key=REMOVED, header={"kid": "removed"})),
        "critical extension": bearer(signed(header={"crit": ["exp"], "exp": now})),
        "too long": bearer(signed(padding="x" * 4800)),  # below gRPC's own limit of metadata
        "spoofed claims header": (
            ("x-gostream-claims", "eyJzdWIiOiJhbGljZSJ9"),
            ("x-gostream-subject", ALICE),
        ),
    }


async def _webhook(api: Api, kind: str) -> str:
    """The id of a new webhook of the kind."""
    if kind == "absent":
        return str(uuid4())
    stub = WebhookServiceStub(api.doors["grpc.aio"].channel)
    request = hooks.CreateWebhookRequest(url=URL, user_id=BOB if kind == "other" else ALICE)
    webhook_id: str = (await stub.CreateWebhook(request, metadata=api.admin, timeout=60)).webhook.id
    if kind == "deleted":
        await stub.DeleteWebhook(hooks.DeleteWebhookRequest(id=webhook_id), metadata=api.admin, timeout=60)
    return webhook_id


async def _video(api: Api, kind: str, *, hot: bool) -> str:
    """The id of a new video of the kind."""
    if kind == "absent":
        return str(uuid4())
    video_id = await api.create(BOB if kind == "other" else ALICE)
    if hot:
        await api.heat(video_id)
    if kind == "deleted":
        await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=video_id), metadata=api.admin, timeout=60)
    return video_id


async def _answer(door: Door | EdgeDoor, call: str, subject: str, metadata: Metadata) -> Outcome:
    """The answer to a call, which is repeated while a backend is too busy, as clients do."""
    while True:
        answer = await outcome(door.call(call.partition(" ")[0], CALLS[call](subject), metadata))
        if answer.code != "UNAVAILABLE":
            return answer


def _without(answer: Outcome, video_id: str) -> Outcome:
    """The answer without the id of its video."""
    rest = tuple(
        (
            name,
            value.replace(video_id, "ID")
            if isinstance(value, str)
            else value.replace(video_id.encode(), b"ID"),
        )
        for name, value in answer.rest
    )
    return Outcome(answer.code, answer.reason, rest)


def _cells() -> Iterator[tuple[str, str, dict[str, str]]]:
    for call, row in TABLE["calls"].items():
        for who, expected in row.items():
            yield call, who, expected


async def _together(work: list[Any]) -> list[str]:
    """Runs the cells and returns the differences."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def turn(each: Any) -> str | None:
        async with turns:
            return await each()  # type: ignore[no-any-return]

    return [wrong for wrong in await asyncio.gather(*map(turn, work)) if wrong]


def test_table_covers_every_caller_of_every_call() -> None:
    known = set(callers())

    assert {call: set(row) for call, row in (TABLE["calls"] | TABLE["owners"]).items()} == dict.fromkeys(
        CALLS, known
    )
    assert set(TABLE["strangers"]["callers"]) == set(strangers())
    services = (
        messages.DESCRIPTOR.services_by_name["VideoService"],
        uploads.DESCRIPTOR.services_by_name["UploadService"],
        events.DESCRIPTOR.services_by_name["EventService"],
        hooks.DESCRIPTOR.services_by_name["WebhookService"],
        tracks.DESCRIPTOR.services_by_name["TrackService"],
    )
    methods = {method.name for service in services for method in service.methods}
    assert {call.partition(" ")[0] for call in CALLS} == methods


@pytest.mark.parametrize("hot", [False, True], ids=["cold", "hot"])
@pytest.mark.parametrize("name", DOORS)
async def test_callers_reach_their_own_videos_only(api: Api, name: str, hot: bool) -> None:
    await _reach_their_own(api, api.doors[name], hot=hot)


@pytest.mark.slow
@pytest.mark.parametrize("name", EDGES)
async def test_browsers_reach_their_own_videos_only(
    api: Api, edge_doors: dict[str, EdgeDoor], name: str
) -> None:
    await _reach_their_own(api, edge_doors[name], hot=True)


async def _reach_their_own(api: Api, door: Door | EdgeDoor, *, hot: bool) -> None:
    known = callers()
    await api.heat(await api.create(ALICE))  # the caches are live

    async def check(call: str, who: str, expected: dict[str, str]) -> str | None:
        seen = {}
        for kind, wanted in expected.items():
            is_webhook = call in WEBHOOK_CALLS
            video_id = await (_webhook(api, kind) if is_webhook else _video(api, kind, hot=hot))
            answer = await _answer(door, call, video_id, known[who])
            if str(answer) != wanted:
                return f"{call}, {who}, {kind}: {answer} instead of {wanted}"
            seen[kind] = _without(answer, video_id)
        if expected["other"] == expected["absent"] and seen["other"] != seen["absent"]:
            return f"{call}, {who}: another's video differs: {seen['other']} {seen['absent']}"
        return None

    assert not await _together([partial(check, *cell) for cell in _cells() if door.answers(cell[0])])


async def test_owner_of_a_request_must_be_the_caller(api: Api) -> None:
    await _name_their_own(api.doors["grpc.aio"])


@pytest.mark.parametrize("name", EDGES)
async def test_browsers_name_themselves_only(edge_doors: dict[str, EdgeDoor], name: str) -> None:
    await _name_their_own(edge_doors[name])


async def _name_their_own(door: Door | EdgeDoor) -> None:
    known, owners = callers(), {"empty": "", "own": ALICE, "other": BOB}

    async def check(call: str, who: str, owner: str, wanted: str) -> str | None:
        answer = await _answer(door, call, owners[owner], known[who])
        return None if str(answer) == wanted else f"{call}, {who}, {owner}: {answer} instead of {wanted}"

    cells = [
        partial(check, call, who, owner, wanted)
        for call, row in TABLE["owners"].items()
        if door.answers(call)
        for who, expected in row.items()
        for owner, wanted in expected.items()
    ]
    assert not await _together(cells)


@pytest.mark.parametrize("name", DOORS)
async def test_strangers_are_refused_alike(api: Api, name: str) -> None:
    await _refuse_strangers(api, api.doors[name])


@pytest.mark.parametrize("name", EDGES)
async def test_strangers_in_browsers_are_refused_alike(
    api: Api, edge_doors: dict[str, EdgeDoor], name: str
) -> None:
    await _refuse_strangers(api, edge_doors[name])


async def _refuse_strangers(api: Api, door: Door | EdgeDoor) -> None:
    direct, video_id = api.doors["grpc.aio"], await api.create(ALICE)
    await api.heat(video_id)  # a hit in L1 must not answer strangers
    api.keys.write_bytes(key_set(public_jwk("EdDSA", REMOVED, kid="removed")))
    removed = strangers()["removed key"]
    while str(await _answer(direct, "GetVideo", str(uuid4()), removed)) != "NOT_FOUND VIDEO_NOT_FOUND":
        await asyncio.sleep(0.05)  # it is a good key for now
    api.keys.write_bytes(all_keys())
    while str(await _answer(direct, "GetVideo", video_id, removed)) != TABLE["strangers"]["answer"]:
        await asyncio.sleep(0.05)
    answers: set[Outcome] = set()

    async def check(call: str, who: str, metadata: Metadata) -> str | None:
        subject = ALICE if call in TABLE["owners"] else video_id
        answer = await _answer(door, call, subject, metadata)
        answers.add(answer)
        wanted = TABLE["strangers"]["answer"]
        return None if str(answer) == wanted else f"{call}, {who}: {answer} instead of {wanted}"

    calls = [call for call in CALLS if door.answers(call)]
    cells = [partial(check, call, who, metadata) for call in calls for who, metadata in strangers().items()]
    assert not await _together(cells)
    assert len(answers) == 1  # the fault of the token is not told
