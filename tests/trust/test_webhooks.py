"""Webhooks: whose they are, what of them is shown, and what the trail has."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from gostream.v1 import webhook_service_pb2 as hooks
from gostream.v1.webhook_pb2 import Webhook
from gostream.v1.webhook_service_pb2_grpc import WebhookServiceStub
from tests.trust.conftest import Api, Metadata, StartApi, caller, outcome

ALICE = "corp:alice"
URL = "https://receiver.example/hook?token=private"


@pytest.fixture
def alice() -> Metadata:
    return caller("alice", "read", "write")


@pytest.fixture
def bob() -> Metadata:
    return caller("bob", "read", "write")


def stub_of(api: Api) -> Any:
    return WebhookServiceStub(api.doors["grpc.aio"].channel)


async def created(api: Api, who: Metadata, **fields: Any) -> hooks.CreateWebhookResponse:
    request = hooks.CreateWebhookRequest(**({"url": URL} | fields))
    answer: hooks.CreateWebhookResponse = await stub_of(api).CreateWebhook(request, metadata=who, timeout=60)
    return answer


async def test_secret_is_told_once(api: Api, alice: Metadata, database_url: str) -> None:
    stub = stub_of(api)
    with capture_logs() as logs:
        made = await created(api, alice)
        rotated = await stub.RotateWebhookSecret(
            hooks.RotateWebhookSecretRequest(id=made.webhook.id), metadata=alice, timeout=60
        )
        told = [
            await stub.GetWebhook(hooks.GetWebhookRequest(id=made.webhook.id), metadata=alice, timeout=60),
            await stub.ListWebhooks(hooks.ListWebhooksRequest(), metadata=alice, timeout=60),
            await stub.UpdateWebhook(
                hooks.UpdateWebhookRequest(webhook=Webhook(id=made.webhook.id, types=["video.ready"])),
                metadata=alice,
                timeout=60,
            ),
        ]
    connection = await asyncpg.connect(database_url)
    trail = await connection.fetch("SELECT * FROM trail")
    await connection.close()

    assert made.secret != rotated.secret
    for secret in (made.secret, rotated.secret):
        assert secret.startswith("whsec_")
        for text in (repr(told), repr(logs), repr(trail)):
            assert secret.removeprefix("whsec_") not in text
    assert "token=private" not in repr(logs) + repr(trail)


async def test_each_write_leaves_one_row(api: Api, alice: Metadata, database_url: str) -> None:
    stub, webhook_id = stub_of(api), (await created(api, alice, types=["video.ready"])).webhook.id
    requests = {
        "UpdateWebhook": hooks.UpdateWebhookRequest(webhook=Webhook(id=webhook_id, disabled=True)),
        "RotateWebhookSecret": hooks.RotateWebhookSecretRequest(id=webhook_id, overlap=Duration(seconds=60)),
        "TestWebhook": hooks.TestWebhookRequest(id=webhook_id),
        "Redeliver": hooks.RedeliverRequest(webhook_id=webhook_id, since=Timestamp(seconds=1)),
        "DeleteWebhook": hooks.DeleteWebhookRequest(id=webhook_id),
    }
    for name, request in requests.items():
        await getattr(stub, name)(request, metadata=alice, timeout=60)

    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT * FROM trail WHERE webhook_id = $1 ORDER BY id", UUID(webhook_id))
    await connection.close()

    assert [row["method"] for row in rows] == ["CreateWebhook", *requests]
    assert {(row["principal"], row["owner"], row["video_id"]) for row in rows} == {(ALICE, ALICE, None)}
    assert [json.loads(row["changed"]) for row in rows] == [
        {"types": "video.ready"},
        {"fields": "is_disabled", "is_disabled": True},
        {"overlap_seconds": 60},
        {"deliveries": 1},
        {"deliveries": 0},
        {"deleted": True},
    ]


async def test_lists_hold_the_webhooks_of_the_caller(api: Api, alice: Metadata, bob: Metadata) -> None:
    mine = [(await created(api, alice)).webhook.id for _ in range(3)]
    others = [(await created(api, bob)).webhook.id]
    of_everybody = (await created(api, api.admin)).webhook

    async def listed(who: Metadata, **fields: Any) -> list[str]:
        request = hooks.ListWebhooksRequest(**fields)
        page = await stub_of(api).ListWebhooks(request, metadata=who, timeout=60)
        token: dict[str, Any] = {"page_token": page.next_page_token}
        rest = await listed(who, **(fields | token)) if page.next_page_token else []
        return [webhook.id for webhook in page.webhooks] + rest

    assert of_everybody.user_id == ""
    assert await listed(alice) == await listed(alice, page_size=2) == mine
    assert await listed(bob) == others
    assert await listed(api.admin) == [*mine, *others, of_everybody.id]
    assert await listed(api.admin, user_id=ALICE) == mine


async def test_owners_have_a_quota(start_api: StartApi, alice: Metadata, bob: Metadata) -> None:
    api = await start_api(QUOTA_WEBHOOKS="2")
    for _ in range(2):
        await created(api, alice)

    request = hooks.CreateWebhookRequest(url=URL)
    refused = await outcome(stub_of(api).CreateWebhook(request, metadata=alice, timeout=60))

    assert str(refused) == "RESOURCE_EXHAUSTED QUOTA_EXCEEDED"
    await created(api, bob)


async def test_others_deliveries_stay_hidden(api: Api, alice: Metadata, bob: Metadata) -> None:
    """A delivery of one webhook cannot be repeated by another one."""
    stub, mine, other = stub_of(api), (await created(api, alice)).webhook, (await created(api, bob)).webhook
    test = await stub.TestWebhook(hooks.TestWebhookRequest(id=other.id), metadata=bob, timeout=60)

    request = hooks.RedeliverRequest(webhook_id=mine.id, delivery_id=test.id)
    refused = await outcome(stub.Redeliver(request, metadata=alice, timeout=60))
    again = await stub.Redeliver(
        hooks.RedeliverRequest(webhook_id=other.id, delivery_id=test.id), metadata=bob, timeout=60
    )
    page = await stub.ListDeliveries(
        hooks.ListDeliveriesRequest(webhook_id=other.id), metadata=bob, timeout=60
    )

    assert str(refused) == "NOT_FOUND WEBHOOK_NOT_FOUND"
    assert again.count == 1
    assert [each.event_id for each in page.deliveries] == [test.event_id, test.event_id]


WRONG: list[tuple[str, Any]] = [
    ("url", hooks.CreateWebhookRequest(url="http://receiver.example/")),
    ("url", hooks.CreateWebhookRequest(url="https://127.0.0.1/")),
    ("url", hooks.CreateWebhookRequest(url="https://user:word@receiver.example/")),
    ("url", hooks.CreateWebhookRequest(url="https://receiver.example/" + "x" * 2048)),
    ("url", hooks.CreateWebhookRequest(url="file:///etc/passwd")),
    ("types", hooks.CreateWebhookRequest(url=URL, types=["nothing"])),
    (
        "webhook.url",
        hooks.UpdateWebhookRequest(webhook=Webhook(id=str(UUID(int=1)), url="https://localhost/")),
    ),
    ("update_mask", hooks.UpdateWebhookRequest(webhook=Webhook(id=str(UUID(int=1)), user_id="other"))),
    ("overlap", hooks.RotateWebhookSecretRequest(id=str(UUID(int=1)), overlap=Duration(seconds=86_401))),
    ("overlap", hooks.RotateWebhookSecretRequest(id=str(UUID(int=1)), overlap=Duration(seconds=-1))),
    ("since", hooks.RedeliverRequest(webhook_id=str(UUID(int=1)))),
    ("delivery_id", hooks.RedeliverRequest(webhook_id=str(UUID(int=1)), delivery_id="1")),
    ("webhook_id", hooks.ListDeliveriesRequest(webhook_id="' OR true")),
]


@pytest.mark.parametrize(("field", "request_"), WRONG)
async def test_wrong_fields_are_refused(api: Api, alice: Metadata, field: str, request_: Any) -> None:
    method = type(request_).__name__.removesuffix("Request")
    refused = await outcome(getattr(stub_of(api), method)(request_, metadata=alice, timeout=60))

    assert str(refused) == "INVALID_ARGUMENT FIELD_INVALID"
    assert f"{field}: must" in repr(refused)
