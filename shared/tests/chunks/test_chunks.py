"""The chunks of encodes on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.chunks import ChunkResult
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import FenceLostError
from gostream_shared.domain.video import Failure, VideoStatus
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import EncodeOptions

from .films import RESULT, Films, pictures

pytestmark = pytest.mark.stack
FAILURE = Failure(code="INTERNAL", message="m", retryable=True, stage="encoding")


@pytest.fixture
async def films(database_url: str) -> AsyncIterator[Films]:
    async with PostgresDatabase.open(database_url) as database:
        yield Films(database)


async def test_two_last_chunks_enqueue_one_finish(films: Films) -> None:
    for _ in range(10):
        encode = await films.planned(pictures(3))
        running = [await films.begin(encode, chunk) for chunk in range(4)]
        left = await asyncio.gather(*map(films.end, running))
        assert sorted(left) == [0, 1, 2, 3]
    assert await films.queued("finish") == 10


async def test_result_is_read_back_unchanged(films: Films) -> None:
    plan = '{"fps": "30000/1001", "seconds": 599.9999999}'
    encode = await films.planned(pictures(1), plan=plan)
    found = ChunkResult(segments='[{"size": 1}]', listed='{"x": [1]}', files={"tile": bytes(range(256))})

    await films.end(await films.begin(encode, 0))
    running = await films.begin(encode, 1)
    await films.end(running, found)

    sound, picture = await films.database.chunks.done(encode.video_id, 1)
    assert (sound.chunk, sound.files, sound.segments) == (0, {}, "[]")
    assert (picture.segments, picture.files, picture.tries) == ('[{"size": 1}]', found.files, 1)
    assert "599.9999999" in running.plan


async def test_later_try_takes_the_fence(films: Films) -> None:
    encode = await films.planned(pictures(1))
    late, running = await films.begin(encode, 1), await films.begin(encode, 1)
    assert (late.tries, running.tries) == (1, 2)

    with pytest.raises(FenceLostError):
        await films.database.chunks.report(late, position=1, speed=1)
    with pytest.raises(FenceLostError):
        await films.end(late)
    with pytest.raises(FenceLostError):
        await films.database.chunks.forgive(late)
    assert await films.end(running) == 1
    with pytest.raises(FenceLostError):
        await films.end(running)


async def test_done_chunk_does_not_begin(films: Films) -> None:
    encode = await films.planned(pictures(1))
    await films.end(await films.begin(encode, 1))
    with pytest.raises(FenceLostError):
        await films.begin(encode, 1)


async def test_forgiven_tries_do_not_count(films: Films) -> None:
    encode = await films.planned(pictures(1))
    for _ in range(2):
        await films.database.chunks.forgive(await films.begin(encode, 1))
    running = await films.begin(encode, 1)
    assert (running.tries, running.counted) == (3, 1)


async def test_outage_lasts_until_a_chunk_is_done(films: Films) -> None:
    encode = await films.planned(pictures(2))
    await films.database.chunks.note_outage(await films.begin(encode, 1))
    assert await films.database.chunks.note_outage(await films.begin(encode, 2)) > timedelta(0)
    await films.end(await films.begin(encode, 1))
    assert await films.database.chunks.note_outage(await films.begin(encode, 2)) == timedelta(0)


@pytest.mark.parametrize("how", ["cancel", "delete", "fail", "psql"])
async def test_over_encode_has_no_chunks(films: Films, how: str) -> None:
    encode = await films.planned(pictures(2))
    running = await films.begin(encode, 1)
    await films.end(await films.begin(encode, 0), replace(RESULT, files={"poster": b"1"}))
    if how == "cancel":
        await films.database.encodes.cancel(encode.video_id)
    elif how == "fail":
        await films.database.encodes.mark_video_failed(encode, FAILURE)
    else:
        deleted, cancelled = (
            "UPDATE videos SET deleted_at = now() WHERE id = $1",
            "UPDATE videos SET status = 'CANCELLED' WHERE id = $1",
        )
        await films.database.pool.execute(deleted if how == "delete" else cancelled, encode.video_id)

    assert await films.rows(encode.video_id) == 0
    plan = await films.database.pool.fetchval("SELECT plan FROM encodes WHERE video_id = $1", encode.video_id)
    assert plan is None
    with pytest.raises(FenceLostError):
        await films.database.chunks.report(running, position=1, speed=1)
    with pytest.raises(FenceLostError):
        await films.end(running)
    with pytest.raises(FenceLostError):
        await films.begin(encode, 2)


async def test_cancellation_and_chunks_never_deadlock(films: Films) -> None:
    for _ in range(10):
        encode = await films.planned(pictures(8))
        running = [await films.begin(encode, chunk) for chunk in range(1, 9)]
        chunks = films.database.chunks
        results = await asyncio.gather(
            *(chunks.report(one, position=1, speed=1) for one in running),
            films.database.encodes.cancel(encode.video_id),
            *map(films.end, running),
            *(chunks.note_outage(one) for one in running),
            return_exceptions=True,
        )
        failures = [error for error in results if isinstance(error, Exception)]
        assert {type(error) for error in failures} <= {FenceLostError}, failures
        assert (await films.database.videos.get(encode.video_id)).status is VideoStatus.CANCELLED


async def test_chunks_change_no_version(films: Films) -> None:
    encode = await films.planned(pictures(1))
    before = (await films.database.videos.get(encode.video_id)).version
    for chunk in (0, 1):
        running = await films.begin(encode, chunk)
        await films.database.chunks.report(running, position=1, speed=1)
        await films.end(running)
    await films.database.chunks.begin_finish(encode.video_id, 1, worker="w")
    assert (await films.database.videos.get(encode.video_id)).version == before


async def test_progress_is_that_of_the_film(films: Films) -> None:
    encode = await films.planned(pictures(4))
    chunks = films.database.chunks
    sound, first, second = [await films.begin(encode, chunk) for chunk in range(3)]
    assert (await chunks.report(sound, position=0, speed=200)).percent == 5
    assert (await chunks.report(first, position=5, speed=2)).percent == pytest.approx(5 + 92 * 5 / 40)

    both = await chunks.report(second, position=5, speed=0.5)
    assert both.percent == pytest.approx(5 + 92 * 10 / 40)
    assert (both.speed, both.eta) == (2.5, timedelta(seconds=30 / 2.5))

    await films.end(first)
    done = await chunks.report(second, position=5, speed=0.5)
    assert done.percent == pytest.approx(5 + 92 * 15 / 40)
    assert done.speed == 0.5
    again = await chunks.report(await films.begin(encode, 2), position=0, speed=None)
    assert (again.percent, again.speed, again.eta) == (done.percent, None, None), "it never falls"


async def test_planned_film_is_not_planned_again(films: Films) -> None:
    encode = await films.planned(pictures(1))
    with pytest.raises(FenceLostError):
        await films.database.encodes.begin_attempt(encode.video_id, 1, worker="w")


async def test_plan_and_attempt_at_once_leave_one(films: Films) -> None:
    for _ in range(10):
        encode = await films.planned([])
        await films.database.pool.execute("UPDATE encodes SET chunks_left = NULL")

        async def plan(encode: Encode = encode) -> None:
            async with films.database.transaction() as transaction:
                await transaction.encodes.lock_for_publish(encode)
                await transaction.chunks.add(encode, "{}", pictures(1))

        begin = films.database.encodes.begin_attempt(encode.video_id, 1, worker="other")
        results = await asyncio.gather(plan(), begin, return_exceptions=True)
        assert sum(isinstance(found, FenceLostError) for found in results) == 1, results


async def test_new_plan_stops_the_chunks(films: Films) -> None:
    encode = await films.planned(pictures(1))
    await films.begin(encode, 1)
    running = await films.begin(encode, 1)
    async with films.database.transaction() as transaction:
        await transaction.chunks.plan_anew(running.encode)

    chunks = films.database.chunks
    late = chunks.report(running, position=1, speed=1), chunks.forgive(running), chunks.note_outage(running)
    for lost in (*late, films.end(running), films.begin(encode, 0)):
        with pytest.raises(FenceLostError):
            await lost
    again = await films.database.encodes.begin_attempt(encode.video_id, 1, worker="w")
    assert (again.attempt, again.tries, again.names) == (2, 2, 4), "no try has used 4 in a name"


async def test_repeated_finish_begins_an_attempt(films: Films) -> None:
    encode = await films.planned(pictures(1), plan='{"a": 1}')
    chunks = films.database.chunks
    with pytest.raises(FenceLostError):
        await chunks.begin_finish(encode.video_id, 1, worker="w")
    for chunk in (0, 1):
        await films.end(await films.begin(encode, chunk))

    for attempt in (1, 2, 3):
        async with films.database.transaction() as transaction:
            found = await transaction.chunks.begin_finish(encode.video_id, 1, worker="w")
        assert (found.attempt, found.tries) == (attempt, attempt)
    assert await chunks.plan_of(encode.video_id, 1) == '{"a": 1}'


async def test_every_step_knows_the_wishes_of_the_caller(films: Films) -> None:
    options = EncodeOptions(downloads=("highest",))
    encode = await films.planned(pictures(1), loudness=LoudnessTarget.LUFS_16, options=options)
    running = [await films.begin(encode, chunk) for chunk in (0, 1)]
    for one in running:
        await films.end(one)
    last = await begun(films, encode)
    for found in (*(one.encode for one in running), last):
        assert (found.options, found.loudness) == (options, LoudnessTarget.LUFS_16)


async def begun(films: Films, encode: Encode) -> Encode:
    async with films.database.transaction() as transaction:
        return await transaction.chunks.begin_finish(encode.video_id, 1, worker="w")


async def test_each_chunk_is_released_once(films: Films) -> None:
    encode = await films.planned(pictures(7))
    assert await films.release(encode, 2) == [0, 1]
    found = await asyncio.gather(*(films.release(encode, 1) for _ in range(8)))
    assert sorted(chunk for chunks in found for chunk in chunks) == [2, 3, 4, 5, 6, 7]
    assert await films.queued("chunk") == 8


async def test_chunks_of_owners_take_turns(films: Films) -> None:
    long = await films.planned(pictures(9), owner="long")
    await films.release(long, 6, owner="long")
    short = await films.planned(pictures(2), owner="short")
    await films.release(short, 3, owner="short")

    rows = await films.database.pool.fetch(
        "SELECT convert_from(payload, 'UTF8')::jsonb ->> 'video_id' AS video FROM pgqueuer"
        " ORDER BY priority DESC, id"
    )
    order = ["short" if row["video"] == str(short.video_id) else "long" for row in rows]
    assert order[:6] == ["long", "short"] * 3


async def test_lists_grow_at_intervals(films: Films) -> None:
    encode = await films.planned(pictures(1))
    chunks = films.database.chunks
    found = await asyncio.gather(*(chunks.may_list(encode, pause=60) for _ in range(5)))
    assert sorted(found) == [False] * 4 + [True]
    assert await chunks.may_list(encode, pause=0)


async def test_listed_segments_are_returned_in_order(films: Films) -> None:
    encode = await films.planned(pictures(2))
    running = await films.begin(encode, 1)
    await films.database.chunks.report(running, position=1, speed=1, listed='{"b": 2}')
    await films.end(await films.begin(encode, 0), ChunkResult(segments="[]", listed='{"a": 1}'))
    assert await films.database.chunks.listed(encode.video_id, 1) == [
        ("sound", True, '{"a": 1}'),
        ("picture", False, '{"b": 2}'),
        ("picture", False, None),
    ]
