"""Deliveries: what a receiver gets, when again, and when no more."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from gostream_shared.db.database import PostgresDatabase
from gostream_worker.webhooks import schedule
from gostream_worker.webhooks.ending import end_old
from gostream_worker.webhooks.signature import signed_headers
from services.worker.tests.webhooks.conftest import SECRET, Hooks, Receive, delivering

pytestmark = pytest.mark.stack


async def test_delivery_is_signed_and_complete(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    receiver = await receive()
    await hooks.add(receiver.url)
    async with delivering(database):
        video_id = await hooks.happen()
        await receiver.got(1)

    [got] = receiver.received
    verified = Verifier(SECRET).verify(got.body, got.headers)
    event = await database.pool.fetchrow("SELECT id, created_at FROM events")
    assert event is not None
    assert got.headers["webhook-id"] == str(event["id"])
    assert got.headers["content-type"] == "application/json"
    moment = datetime.fromisoformat(verified.pop("timestamp"))
    assert moment == event["created_at"]
    assert verified == {
        "type": "video.created",
        "data": {
            "video_id": str(video_id),
            "version": 1,
            "user_id": "alice",
            "status": "PENDING_UPLOAD",
        },
    }


async def test_webhooks_get_what_they_want(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    everything, of_bob, updates = await receive(), await receive(), await receive()
    await hooks.add(everything.url, owner="")
    await hooks.add(of_bob.url, owner="bob")
    await hooks.add(updates.url, "video.updated")
    async with delivering(database):
        for owner in ("alice", "bob"):
            video_id = await hooks.happen(owner)
            await database.pool.execute("UPDATE videos SET title = 'Another' WHERE id = $1", video_id)
        await hooks.until("DELIVERED", 4 + 2 + 1)

    found = [
        sorted(
            (json.loads(got.body)["type"], json.loads(got.body)["data"]["user_id"]) for got in each.received
        )
        for each in (everything, of_bob, updates)
    ]
    created, updated = "video.created", "video.updated"
    assert found == [
        [(created, "alice"), (created, "bob"), (updated, "alice"), (updated, "bob")],
        [(created, "bob"), (updated, "bob")],
        [(updated, "alice")],
    ]


async def test_failed_delivery_is_repeated_unchanged(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    receiver = await receive(answer=lambda number: 500 if number < 4 else 200)
    await hooks.add(receiver.url)
    async with delivering(database):
        await hooks.happen()
        await hooks.until("DELIVERED", 1)

    assert len(receiver.received) == 4
    assert len({(got.body, got.headers["webhook-id"]) for got in receiver.received}) == 1
    row = await database.pool.fetchrow("SELECT attempt, http_status, error FROM deliveries")
    assert tuple(row or ()) == (4, 200, "")


async def test_last_failure_ends_the_delivery(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    receiver = await receive(answer=lambda number: 503)
    await hooks.add(receiver.url)
    async with delivering(database):
        await hooks.happen()
        await hooks.until("DEAD", 1)

    assert len(receiver.received) == 11
    row = await database.pool.fetchrow("SELECT attempt, http_status, error FROM deliveries")
    assert tuple(row or ()) == (11, 503, "the receiver answered 503")


async def test_gone_receiver_is_disabled(database: PostgresDatabase, hooks: Hooks, receive: Receive) -> None:
    receiver = await receive(answer=lambda number: 410)
    webhook = await hooks.add(receiver.url)
    async with delivering(database):
        await hooks.happen()
        await hooks.until("DEAD", 1)
        await hooks.happen()

    found = await database.webhooks.get(webhook.id, owner=None)
    assert (found.is_disabled, found.disabled_reason) == (True, "the receiver has answered 410 Gone")
    assert len(receiver.received) == 1
    assert await database.pool.fetchval("SELECT count(*) FROM event_outbox") == 0


async def test_redirects_are_failures(database: PostgresDatabase, hooks: Hooks, receive: Receive) -> None:
    other = await receive()
    receiver = await receive(answer=lambda number: 302, location=other.url)
    await hooks.add(receiver.url)
    async with delivering(database):
        await hooks.happen()
        await hooks.until("DEAD", 1)

    assert other.received == []
    assert await database.pool.fetchval("SELECT error FROM deliveries") == "a redirect is not followed"


async def test_rotated_secrets_sign_together(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    new = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    receiver = await receive()
    webhook = await hooks.add(receiver.url)
    await database.webhooks.rotate(webhook.id, new, overlap=timedelta(hours=1))
    async with delivering(database):
        await hooks.happen()
        await receiver.got(1)
        await database.pool.execute("UPDATE webhook_secrets SET expires_at = now() WHERE secret = $1", SECRET)
        await hooks.happen()
        await receiver.got(2)

    first, second = receiver.received
    for secret in (SECRET, new):
        Verifier(secret).verify(first.body, first.headers)
    Verifier(new).verify(second.body, second.headers)
    assert [len(got.headers["webhook-signature"].split()) for got in receiver.received] == [2, 1]


def test_signature_is_that_of_the_standard() -> None:
    """The example of the specification, in another time zone: the library takes any zone for UTC."""
    moment = datetime.fromtimestamp(1614265330, UTC).astimezone(timezone(timedelta(hours=9)))

    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [SECRET], now=moment)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_tries_last_about_75_hours() -> None:
    total = sum(schedule.PAUSES, timedelta())
    assert timedelta(hours=75) < total < timedelta(hours=76) < schedule.LONGEST
    for attempt, pause in enumerate(schedule.PAUSES, 1):
        found = schedule.pause_after(attempt)
        assert found is not None
        assert 0.8 * pause <= found <= 1.2 * pause
    assert schedule.pause_after(len(schedule.PAUSES) + 1) is None


async def test_overdue_deliveries_end(database: PostgresDatabase, hooks: Hooks) -> None:
    await hooks.add("http://127.0.0.1:9/")
    for _ in range(2):
        await hooks.happen()
    await database.deliveries.fan_out(10)
    await database.pool.execute(
        """UPDATE deliveries SET created_at = now() - interval '5 days'
        WHERE seq = (SELECT min(seq) FROM deliveries)"""
    )

    assert await end_old(database.deliveries, retention=timedelta(days=30)) == (1, 0)
    assert await hooks.states() == {"DEAD": 1, "PENDING": 1}
    assert await end_old(database.deliveries, retention=timedelta(days=1)) == (0, 1)
