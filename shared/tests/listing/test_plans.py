"""Plans of listings over a million videos: what each pair of filters reads."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import median
from time import monotonic, perf_counter
from typing import Any
from uuid import UUID

import pytest

from gostream_devstack.servers.postgres import ROLE, Postgres
from gostream_shared.db.companions.listing import listing
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import MediaKind, VideoStatus
from gostream_shared.domain.videos.listing import Position, VideoFilter

pytestmark = pytest.mark.slow

VIDEOS = 1_000_000
PAGE = 50
#: The newest video. The others are a second apart.
NEWEST = datetime(2026, 6, 1, tzinfo=UTC)
#: "big" owns every tenth video and has no failed one; 9,000 others own 100 each. Each of 6,000 courses has
#: 100 videos, each of 10 tenants 60,000; 20 videos are pinned. "holiday" is in 100 titles, "lesson" in
#: 300,000, "лекция" in 100,000, "История" in 50. Of each hundred videos, one can be undeleted, one is gone.
#: One of 53 published ones is sound alone.
FILL = """
INSERT INTO videos (id, user_id, title, title_key, content_type, created_at, updated_at, status, failure,
  external_id, labels, label_terms, deleted_at, undelete_until, encode_number, published_number, publication)
SELECT gen_random_uuid(), CASE WHEN i % 10 = 0 THEN 'big' ELSE 'u' || i % 9000 END,
  title, CASE WHEN i % 10 = 4 THEN title_key_of(title) END,
  'video/mp4', made, made, status, CASE status WHEN 'FAILED' THEN '{}'::jsonb END,
  CASE WHEN i % 2 = 0 THEN 'x' || i END,
  CASE WHEN i % 5 < 3
    THEN jsonb_build_object('course', (i * 7919 % 10000)::text, 'tenant', (i / 5 % 10)::text)
    || CASE WHEN i % 50000 = 1 THEN '{"pinned": "yes"}' ELSE '{}' END::jsonb ELSE '{}' END,
  CASE WHEN i % 5 < 3 THEN ARRAY['course', 'course=' || i * 7919 % 10000, 'tenant', 'tenant=' || i / 5 % 10]
    || CASE WHEN i % 50000 = 1 THEN ARRAY['pinned', 'pinned=yes'] ELSE '{}' END ELSE '{}' END,
  CASE WHEN i % 100 IN (41, 42) THEN made END, CASE WHEN i % 100 = 41 THEN now() + interval '1 d' END,
  1, CASE status WHEN 'READY' THEN 1 END, CASE WHEN status = 'READY' THEN
    CASE WHEN i % 53 = 7 THEN '{"media_kind": "AUDIO"}' ELSE '{}' END::jsonb END
FROM (SELECT i, $1::timestamptz - i * interval '1 s' AS made,
    CASE WHEN i % 10 = 0 OR i % 97 > 2 THEN 'READY' WHEN i % 97 = 0 THEN 'FAILED'
      WHEN i % 97 = 1 THEN 'PENDING_UPLOAD' ELSE 'CANCELLED' END AS status,
    left(md5(i::text), 16) || CASE WHEN i % 10000 = 7 THEN ' Holiday' ELSE '' END
      || CASE WHEN i % 10 < 3 THEN ' lesson ' ELSE ' ' END || left(md5(i::text || 'x'), 12)
      || CASE WHEN i % 10 = 4 THEN ' лекция' ELSE '' END
      || CASE WHEN i % 20000 = 4 THEN ' История' ELSE '' END AS title
  FROM generate_series(1::bigint, $2) AS i) AS rows
"""


@dataclass
class Plan:
    buffers: int
    milliseconds: float
    indexes: set[str]
    rows: int

    def __str__(self) -> str:
        used = " ".join(sorted(self.indexes))
        return f"{self.buffers:>6} buffers {self.milliseconds:>7.2f} ms {self.rows:>3.0f} rows  {used}"


async def explain(database: PostgresDatabase, which: VideoFilter, after: Position | None = None) -> Plan:
    """Reads a page twice, and explains the second time."""
    page = listing(which, limit=PAGE + 1, after=after)
    sql = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + page.sql
    for _ in range(2):
        [found] = json.loads(await database.pool.fetchval(sql, *page.arguments, timeout=300))
    plan = found["Plan"]
    buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    indexes = {node["Index Name"] for node in _nodes(plan) if "Index Name" in node}
    return Plan(buffers, found["Execution Time"] + found["Planning Time"], indexes, plan["Actual Rows"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.fixture(scope="module")
def million(postgres_server: Postgres, _template_database: str) -> Iterator[str]:
    """The URL of a database with a million videos."""
    postgres_server.execute(f"CREATE DATABASE million TEMPLATE {_template_database} OWNER {ROLE}")
    asyncio.run(_fill(postgres_server.url_of("million")))
    yield postgres_server.url_of("million")
    postgres_server.execute("DROP DATABASE million WITH (FORCE)")


async def _fill(url: str) -> None:
    async with PostgresDatabase.open(url, max_size=1) as database, database.pool.acquire() as connection:

        async def run(sql: str, *arguments: object) -> None:
            await connection.execute(sql, *arguments, timeout=1200)

        await run("ALTER TABLE videos DISABLE TRIGGER USER; SET maintenance_work_mem = '512MB'")
        indexes = await connection.fetch(
            """SELECT indexname, indexdef FROM pg_indexes
            WHERE tablename = 'videos' AND indexname NOT IN ('videos_pkey')"""
        )
        for index in indexes:
            await run(f"DROP INDEX {index['indexname']}")
        await run(FILL, NEWEST, VIDEOS)
        for index in indexes:
            begun = monotonic()
            await run(index["indexdef"])
            print(f"{index['indexname']}: {monotonic() - begun:.1f} s")
        await run("VACUUM ANALYZE videos")


@pytest.fixture
async def database(million: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(million) as database:
        yield database


FILTERS: dict[str, VideoFilter] = {
    "big owner": VideoFilter(user_id="big"),
    "small owner": VideoFilter(user_id="u77"),
    "failed": VideoFilter(status=VideoStatus.FAILED),
    "ready": VideoFilter(status=VideoStatus.READY),
    "external id": VideoFilter(external_id="x500000"),
    "pinned label": VideoFilter(labels=("pinned",)),
    "course label": VideoFilter(labels=("course=7919",)),
    "tenant label": VideoFilter(labels=("tenant=4",)),
    "rare word": VideoFilter(words=("holiday",)),
    "frequent word": VideoFilter(words=("LESSON",)),
    "Cyrillic word": VideoFilter(words=("ИСТОРИЯ",)),
    "an hour": VideoFilter(
        created_from=NEWEST - timedelta(days=6), created_until=NEWEST - timedelta(days=5, hours=23)
    ),
    "audio": VideoFilter(media_kind=MediaKind.AUDIO),
    "deleted": VideoFilter(with_deleted=True),
}


def merged(*names: str) -> VideoFilter | None:
    """The filter with the fields of all; None if two have the same field."""
    default, fields = VideoFilter(), dict[str, Any]()
    for name in names:
        for field in VideoFilter.__slots__:
            if (value := getattr(FILTERS[name], field)) != getattr(default, field):
                if field in fields:
                    if field != "labels":
                        return None
                    value = (*fields[field], *value)
                fields[field] = value
    return replace(default, **fields)


#: Filters whose index has the order of the listing, and the buffers that a page of 50 videos may read: one
#: for each video, and the way to it in the index.
ORDERED = {"big owner", "small owner", "failed", "ready", "external id", "an hour", "audio"}
ORDERED_BUFFERS = 60
#: Buffers with a label or a word: the index finds the matches, or another index is filtered.
SEARCH_BUFFERS = 600
#: Buffers with a label or a word and a kind: videos of one kind are further apart than others.
APART_BUFFERS = 3 * SEARCH_BUFFERS
#: Buffers if nothing of a kind has a state: all of the kind are examined.
KIND_BUFFERS = VIDEOS // 40
#: Buffers if few deleted videos match: they are all examined.
DELETED_BUFFERS = VIDEOS // 100 + SEARCH_BUFFERS


def bound(names: tuple[str, ...]) -> int:
    if set(names) == {"failed", "audio"}:
        return KIND_BUFFERS
    if set(names) <= ORDERED:
        return ORDERED_BUFFERS
    if "deleted" in names:
        return DELETED_BUFFERS
    return APART_BUFFERS if "audio" in names else SEARCH_BUFFERS


async def test_pairs_of_filters_read_few_pages(database: PostgresDatabase) -> None:
    """Prints the numbers of docs/decisions/0154."""
    middle = Position(NEWEST - timedelta(seconds=VIDEOS / 2), UUID(int=0))
    over, within = [], 0
    for names in [(), *((name,) for name in FILTERS), *combinations(FILTERS, 2)]:
        which = merged(*names)
        for after in (None, middle):
            if which is None:
                continue
            plan = await explain(database, which, after)
            line = f"{' + '.join(names) or 'all':<32} {plan} {'deep' if after else ''}"
            print(line)
            within += plan.buffers <= ORDERED_BUFFERS
            if plan.buffers > bound(names):
                over.append(line)
    print(f"{within} pages read at most {ORDERED_BUFFERS} buffers")
    assert over == []


async def test_search_takes_about_as_long_as_a_listing(database: PostgresDatabase) -> None:
    """Alternating, so that both meet the same load."""
    plain, search = VideoFilter(), VideoFilter(labels=("course=7919",), words=("lesson",))
    times: dict[VideoFilter, list[float]] = {plain: [], search: []}
    for _ in range(150):
        for which, taken in times.items():
            begun = perf_counter()
            found = await database.videos.list_page(which, limit=PAGE + 1, after=None)
            taken.append(perf_counter() - begun)
            assert len(found) == PAGE + 1
    one, other = (median(taken) * 1000 for taken in times.values())
    print(f"plain {one:.2f} ms, label and title {other:.2f} ms, ratio {other / one:.2f}")
    assert other <= 3 * one


async def test_plan_follows_the_arguments(database: PostgresDatabase) -> None:
    """A frequent label is found in the order of the listing, and a rare one by the index of labels.

    Also after PostgreSQL may have kept one plan of the statement for all arguments.
    """
    frequent, rare = VideoFilter(labels=("tenant=4",)), VideoFilter(labels=("pinned",))
    for _ in range(8):
        assert len(await database.videos.list_page(frequent, limit=PAGE, after=None)) == PAGE
    assert len(await database.videos.list_page(rare, limit=PAGE, after=None)) == VIDEOS // 50_000
    assert "videos_newest" in (await explain(database, frequent)).indexes
    assert "videos_labels" in (await explain(database, rare)).indexes
