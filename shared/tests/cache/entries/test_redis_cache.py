"""The three scripts on a real server: every rule of the protocol, race by race."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.cache.entries import redis_cache
from gostream_shared.cache.entries.codec import decode_entry, encode_entry
from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.entries.redis_cache import CacheTimes, RedisVideoCache, video_key
from gostream_shared.cache.protocol import (
    NEWEST,
    CacheUnavailableError,
    Entry,
    Fill,
    Filled,
    Hit,
    Lease,
    Wait,
)
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.domain.playback import PlaybackPolicy
from tests.support.videos import make_video

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("patience")]
ID = UUID("01890000-0000-7000-8000-000000000001")


def entry(version: int) -> Entry:
    return Entry(version, make_video(ID, version=version))


async def lease(cache: RedisVideoCache, *, min_version: int = 0, refresh: bool = False) -> Lease:
    lookup = await cache.get_or_lease(ID, min_version=min_version, refresh=refresh)
    assert isinstance(lookup, Lease)
    return lookup


async def fill(cache: RedisVideoCache, version: int) -> None:
    token = (await lease(cache, refresh=True)).token
    assert await cache.fill(ID, Fill(token, entry(version))) is Filled.OK


def with_form(link: RedisConnection, form: str) -> RedisVideoCache:
    return RedisVideoCache(link, channel="c", epoch_state=EpochState(1), times=CacheTimes(), form=form)


async def fill_with_reply(cache: RedisVideoCache, version: int, reply: bytes) -> None:
    token = (await lease(cache, refresh=True)).token
    filled = await cache.fill(ID, Fill(token, replace(entry(version), reply=reply)))
    assert filled is Filled.OK


async def hit_of(cache: RedisVideoCache) -> Entry:
    hit = await cache.get_or_lease(ID)
    assert isinstance(hit, Hit)
    return hit.entry


async def scripts_run(link: RedisConnection) -> int:
    reply = await link.client.execute_command("INFO", "commandstats")  # type: ignore[no-untyped-call]
    return int(reply.get("cmdstat_evalsha", "calls=0").split(",")[0].removeprefix("calls="))


async def test_hit_is_the_stored_reply_without_a_script(link: RedisConnection) -> None:
    cache = with_form(link, "1")
    await fill_with_reply(cache, 1, b"reply")
    before = await scripts_run(link)
    assert await hit_of(cache) == Entry(1, None, b"reply")
    assert await scripts_run(link) == before


async def test_batch_returns_the_stored_reply(link: RedisConnection) -> None:
    cache = with_form(link, "1")
    await fill_with_reply(cache, 1, b"reply")
    [hit] = (await cache.get_or_lease_many([ID], [0])).values()
    assert isinstance(hit, Hit)
    assert hit.entry == Entry(1, None, b"reply")


async def test_reply_of_another_form_is_read_as_json(link: RedisConnection) -> None:
    await fill_with_reply(with_form(link, "1"), 1, b"reply")
    other = with_form(link, "2")
    assert [await hit_of(other) for _ in range(2)] == [entry(1)] * 2


async def test_reply_left_by_an_earlier_release_is_ignored(link: RedisConnection) -> None:
    cache = with_form(link, "1")
    await fill_with_reply(cache, 1, b"old")
    left: Any = await link.client.hmget(video_key(ID), "reply", "reply_of")
    await cache.invalidate({ID: 2})
    await fill(cache, 2)
    await link.client.hset(video_key(ID), mapping=dict(zip(("reply", "reply_of"), left, strict=True)))
    assert [await hit_of(cache) for _ in range(2)] == [entry(2)] * 2


async def test_reply_below_the_required_version_is_no_hit(link: RedisConnection) -> None:
    cache = with_form(link, "1")
    await fill_with_reply(cache, 1, b"reply")
    await lease(cache, min_version=2)


async def test_reply_of_another_epoch_is_no_hit(link: RedisConnection) -> None:
    await fill_with_reply(with_form(link, "1"), 1, b"reply")
    later = RedisVideoCache(link, channel="c", epoch_state=EpochState(2), times=CacheTimes(), form="1")
    await later.get_or_lease(UUID(int=7))  # states the server's time
    await lease(later)


def with_times(link: RedisConnection, times: CacheTimes, epoch: int = 1) -> RedisVideoCache:
    return RedisVideoCache(link, channel="c", epoch_state=EpochState(epoch), times=times)


async def test_one_caller_loads_and_the_others_wait(cache: RedisVideoCache) -> None:
    leased = await lease(cache)
    assert isinstance(await cache.get_or_lease(ID), Wait)
    assert await cache.fill(ID, Fill(leased.token, entry(1), cost=0.25)) is Filled.OK
    hit = await cache.get_or_lease(ID)
    assert isinstance(hit, Hit)
    assert (hit.entry, hit.cost) == (entry(1), 0.25)
    assert 200 < hit.fresh_for <= 240


async def test_entry_is_json_and_expires_with_its_ttl(cache: RedisVideoCache, link: RedisConnection) -> None:
    await fill(cache, 3)
    assert 260 <= await link.client.ttl(video_key(ID)) <= 300
    data = await link.client.hget(video_key(ID), "data")
    assert data is not None
    assert '"title":"a title"' in str(data)


async def test_fill_older_than_an_invalidation_is_refused(cache: RedisVideoCache) -> None:  # R1
    leased = await lease(cache)
    await cache.invalidate({ID: 2})
    assert await cache.fill(ID, Fill(leased.token, entry(1))) is Filled.LEASE
    assert isinstance(await cache.get_or_lease(ID), Lease)


async def test_retaken_lease_has_another_token(cache: RedisVideoCache) -> None:  # R3
    old = await lease(cache)
    await cache.invalidate({ID: 2})
    new = await lease(cache)
    assert await cache.fill(ID, Fill(old.token, entry(1))) is Filled.LEASE
    assert await cache.fill(ID, Fill(new.token, entry(2))) is Filled.OK


async def test_load_below_the_floor_is_refused(cache: RedisVideoCache) -> None:  # R8, R14
    await cache.invalidate({ID: 5})
    leased = await lease(cache)
    assert await cache.fill(ID, Fill(leased.token, entry(4))) is Filled.FLOOR
    assert isinstance(await cache.get_or_lease(ID), Lease)


async def test_invalidations_in_any_order_leave_the_highest_floor(cache: RedisVideoCache) -> None:  # R6
    for version in (3, 5, 4, 5, 1):
        await cache.invalidate({ID: version})
    assert await cache.fill(ID, Fill((await lease(cache)).token, entry(4))) is Filled.FLOOR
    assert await cache.fill(ID, Fill((await lease(cache)).token, entry(5))) is Filled.OK
    await cache.invalidate({ID: 5})
    assert isinstance(await cache.get_or_lease(ID), Hit)


async def test_evicted_key_loses_its_lease(cache: RedisVideoCache, link: RedisConnection) -> None:  # R13
    leased = await lease(cache)
    await cache.invalidate({ID: 2})
    await link.client.delete(video_key(ID))
    assert await cache.fill(ID, Fill(leased.token, entry(1))) is Filled.LEASE


async def test_expired_lease_is_refused_and_granted_to_another(link: RedisConnection) -> None:
    cache = with_times(link, CacheTimes(lease=0.02))
    leased = await lease(cache)
    await asyncio.sleep(0.05)
    assert await cache.fill(ID, Fill(leased.token, entry(1))) is Filled.LEASE
    await lease(cache)


async def test_missing_video_is_cached_until_its_creation(
    cache: RedisVideoCache, link: RedisConnection
) -> None:  # R15
    absent = Fill((await lease(cache)).token, Entry(0, None))
    assert await cache.fill(ID, absent) is Filled.OK
    hit = await cache.get_or_lease(ID)
    assert isinstance(hit, Hit)
    assert hit.entry == Entry(0, None)
    assert 0 < await link.client.pttl(video_key(ID)) <= 5000
    reader = await lease(cache, min_version=1)
    await cache.invalidate({ID: 1})
    assert await cache.fill(ID, replace(absent, token=reader.token)) is Filled.LEASE
    assert isinstance(await cache.get_or_lease(ID), Lease)


async def test_early_refresh_cannot_overwrite_a_newer_entry(cache: RedisVideoCache) -> None:  # R22
    await fill(cache, 1)
    early = await lease(cache, refresh=True)
    assert isinstance(await cache.get_or_lease(ID), Hit), "other callers keep hitting during the reload"
    await cache.invalidate({ID: 2})
    assert await cache.fill(ID, Fill(early.token, entry(1))) is Filled.LEASE
    await fill(cache, 2)
    assert await cache.fill(ID, Fill((await lease(cache, refresh=True)).token, entry(1))) is Filled.FLOOR


async def test_invalidated_entry_is_never_served_stale(link: RedisConnection) -> None:  # R21
    cache = with_times(link, CacheTimes(fresh=0.0001, ttl=60, lease=60))
    await fill(cache, 1)
    await asyncio.sleep(0.05)
    leased = await lease(cache)
    assert leased.stale == entry(1)
    assert isinstance(await cache.get_or_lease(ID), Hit), "an aged entry is still valid"
    await cache.invalidate({ID: 2})
    assert (await lease(cache)).stale is None


async def test_entry_of_another_schema_is_a_miss(
    cache: RedisVideoCache, monkeypatch: pytest.MonkeyPatch
) -> None:  # R26
    await fill(cache, 1)
    monkeypatch.setattr(redis_cache, "SCHEMA", "another")
    assert (await lease(cache)).stale is None


async def test_forged_minimum_evicts_nothing(cache: RedisVideoCache) -> None:  # R28
    await fill(cache, 1)
    for version in (2**62, NEWEST):
        assert not isinstance(await cache.get_or_lease(ID, min_version=version), Hit)
    assert isinstance(await cache.get_or_lease(ID), Hit)


async def test_entry_of_an_older_epoch_is_unreachable(link: RedisConnection) -> None:  # R12, R27
    old, new = with_times(link, CacheTimes(), epoch=1), with_times(link, CacheTimes(), epoch=2)
    await fill(old, 7)
    leased = await lease(new)
    assert leased.stale is None
    with pytest.raises(CacheUnavailableError):
        await old.get_or_lease(ID)
    assert await new.fill(ID, Fill(leased.token, entry(6))) is Filled.OK


async def test_batch_reads_and_fills_take_one_round_trip(
    cache: RedisVideoCache, link: RedisConnection
) -> None:
    ids = [uuid4() for _ in range(20)]
    await link.client.script_flush()
    lookups = await cache.get_or_lease_many(ids, [0] * len(ids))
    fills = {
        key: Fill(lookup.token, Entry(1, make_video(key)))
        for key, lookup in lookups.items()
        if isinstance(lookup, Lease)
    }
    assert set(await cache.fill_many(fills)) == set(ids)
    again = await cache.get_or_lease_many(ids, [0] * len(ids))
    assert {
        key: lookup.entry.version for key, lookup in again.items() if isinstance(lookup, Hit)
    } == dict.fromkeys(ids, 1)


async def test_forgotten_scripts_are_loaded_again(cache: RedisVideoCache, link: RedisConnection) -> None:
    for _ in range(2):
        await link.client.script_flush()
        await fill(cache, 1)
        await link.client.script_flush()
        await cache.invalidate({ID: 2})
        await link.client.flushdb()


def test_value_without_playback_fields_is_public() -> None:
    new = replace(make_video(), playback_policy=PlaybackPolicy.OFF, playback_epoch=7)
    assert decode_entry(1, encode_entry(Entry(1, new))) == Entry(1, new)
    old = json.loads(encode_entry(Entry(1, new)))
    del old["playback_policy"], old["playback_epoch"]

    read = decode_entry(1, json.dumps(old).encode())

    assert read == Entry(1, replace(new, playback_policy=PlaybackPolicy.PUBLIC, playback_epoch=1))
