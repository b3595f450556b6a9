"""Slow, failing and internal receivers harm no one."""

import asyncio
from datetime import timedelta

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.egress.guard import EgressGuard
from gostream_worker.webhooks.dispatcher import AT_ONCE, FAILING
from gostream_worker.webhooks.sender import Sender
from services.worker.tests.webhooks.conftest import PATIENCE, Hooks, Receive, delivering

pytestmark = pytest.mark.stack

#: This machine and its network, in spellings that connect without a guard, and services of clouds.
TARGETS = """
    127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 0.0.0.0 0 localhost
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::1] [::] 10.0.0.1 100.64.0.1 100.100.100.200 168.63.129.16
    169.254.169.254 172.16.0.1 192.0.0.8 192.88.99.1 192.168.0.1 198.18.0.1 224.0.0.1 255.255.255.255
    [::127.0.0.1] [64:ff9b::127.0.0.1] [2002:7f00:1::] [fe80::1] [fd00:ec2::254]
""".split()  # noqa: SIM905 - a page of quotation marks


async def test_slow_receiver_delays_nobody(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    slow, quick = await receive(), await receive()
    slow.go_on.clear()
    await hooks.add(slow.url)
    await hooks.add(quick.url)
    async with delivering(database), delivering(database):
        for _ in range(40):
            await hooks.happen()
        await quick.got(40)
        assert (slow.in_flight, slow.most) == (AT_ONCE, AT_ONCE)
        slow.go_on.set()
        await hooks.until("DELIVERED", 80)

    assert slow.most <= AT_ONCE


async def test_failing_receiver_gets_one_try_at_a_time(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    receiver = await receive(answer=lambda number: 500)
    webhook = await hooks.add(receiver.url)
    async with delivering(database):
        for _ in range(20):
            await hooks.happen()
        await receiver.got(FAILING)
        async with asyncio.timeout(PATIENCE):
            while not await database.pool.fetchval("SELECT paused_until > now() FROM webhooks"):
                await asyncio.sleep(0.01)
    row = await database.pool.fetchrow("SELECT failures, paused_until - now() AS rest FROM webhooks")
    assert row is not None
    assert FAILING <= row["failures"] <= FAILING + AT_ONCE
    assert row["rest"] <= timedelta(seconds=64)

    await hooks.hurry()
    claimed = await database.deliveries.claim(
        limit=64, at_once=AT_ONCE, lease=timedelta(seconds=60), failing=FAILING
    )
    assert [one.webhook_id for one in claimed] == [webhook.id]


async def test_success_ends_the_pause(database: PostgresDatabase, hooks: Hooks, receive: Receive) -> None:
    receiver = await receive(answer=lambda number: 500 if number <= FAILING + 2 else 200)
    await hooks.add(receiver.url)
    async with delivering(database):
        await hooks.happen()
        await hooks.until("DELIVERED", 1)
        await hooks.happen()
        await hooks.until("DELIVERED", 2, hurry=False)

    row = await database.pool.fetchrow("SELECT failures, paused_until FROM webhooks")
    assert tuple(row or ()) == (0, None)


async def test_silent_receiver_is_given_up(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    receiver = await receive()
    receiver.go_on.clear()
    await hooks.add(receiver.url)
    async with delivering(database, timeout=0.2):
        await hooks.happen()
        async with asyncio.timeout(PATIENCE):
            while not await database.pool.fetchval("SELECT error FROM deliveries"):
                await asyncio.sleep(0.02)

    assert await database.pool.fetchval("SELECT error FROM deliveries") == "no answer within 0.2 s"
    assert await hooks.states() == {"PENDING": 1}


async def test_lost_worker_is_replaced(database: PostgresDatabase, hooks: Hooks, receive: Receive) -> None:
    """A worker that died after it had claimed a delivery."""
    receiver = await receive()
    await hooks.add(receiver.url)
    await hooks.happen()
    await database.deliveries.fan_out(10)
    [lost] = await database.deliveries.claim(
        limit=1, at_once=AT_ONCE, lease=timedelta(seconds=0.3), failing=FAILING
    )
    async with delivering(database):
        await hooks.until("DELIVERED", 1, hurry=False)

    assert len(receiver.received) == 1
    assert receiver.received[0].body == lost.body
    assert await database.pool.fetchval("SELECT attempt FROM deliveries") == 2


@pytest.mark.parametrize("host", TARGETS)
async def test_internal_target_gets_no_connection(
    database: PostgresDatabase, hooks: Hooks, receive: Receive, host: str
) -> None:
    """Even one that is in the database already; the API refuses it too."""
    receiver = await receive()
    port = receiver.url.rpartition(":")[2]
    await hooks.add(f"http://{host}:{port}")
    await hooks.happen()
    await database.deliveries.fan_out(10)
    [one] = await database.deliveries.claim(
        limit=1, at_once=AT_ONCE, lease=timedelta(seconds=60), failing=FAILING
    )
    guard = EgressGuard(allows_http=True)
    async with Sender.open(guard) as sender:
        answer = await sender.send(one)

    assert answer.http_status == 0
    assert answer.error.startswith(("the URL must", "the host cannot be reached"))
    assert receiver.received == []


async def test_name_of_this_machine_is_refused_when_dialled(
    database: PostgresDatabase, hooks: Hooks, receive: Receive
) -> None:
    """The URL is admitted, because some private network is allowed; its address is not."""
    receiver = await receive()
    await hooks.add(receiver.url.replace("127.0.0.1", "localhost"))
    async with delivering(database, guard=EgressGuard.of("10.0.0.0/8", allows_http=True)):
        await hooks.happen()
        async with asyncio.timeout(PATIENCE):
            while not await database.pool.fetchval("SELECT error FROM deliveries"):
                await asyncio.sleep(0.02)

    assert await database.pool.fetchval("SELECT error FROM deliveries") == "the host cannot be reached"
    assert receiver.received == []
