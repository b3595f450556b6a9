"""Listings with filters: each video that matches, once, newest first."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import MediaKind, Video, VideoStatus
from gostream_shared.domain.videos.listing import Position, VideoFilter

from .conftest import Create

RETENTION = timedelta(hours=1)
PUBLICATION = {
    "duration": "PT1S",
    "source": {"container": "c", "codecs": [], "size_bytes": 1, "fps": 0},
    "renditions": [],
}
PUBLISH = "UPDATE videos SET publication = $2, published_number = 1, encode_number = 1 WHERE id = $1"


async def listed(database: PostgresDatabase, which: VideoFilter, *, limit: int = 100) -> list[Video]:
    """The videos of all pages."""
    found: list[Video] = []
    after = None
    while page := await database.videos.list_page(which, limit=limit, after=after):
        found += [row.load() for row in page]
        after = Position(page[-1].created_at, page[-1].state.id)
    return found


async def titles(database: PostgresDatabase, **fields: Any) -> set[str]:
    return {video.title for video in await listed(database, VideoFilter(**fields))}


async def test_labels_match_key_or_key_and_value(database: PostgresDatabase, create: Create) -> None:
    await create(title="both", labels={"course": "42", "term": "a=b"})
    await create(title="other", labels={"course": "43", "empty": ""})
    await create(title="none")

    found = {
        label: await titles(database, labels=label)
        for label in [
            ("course",),
            ("course=42",),
            ("term=a=b",),
            ("empty=",),
            ("empty",),
            ("42",),
            ("course=",),
        ]
    }

    assert found == {
        ("course",): {"both", "other"},
        ("course=42",): {"both"},
        ("term=a=b",): {"both"},
        ("empty=",): {"other"},
        ("empty",): {"other"},
        ("42",): set(),
        ("course=",): set(),
    }
    assert await titles(database, labels=("course", "term")) == {"both"}
    assert await titles(database, labels=("course=42", "course=43")) == set()


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Our Holiday 2026", ("holiday",)),
        ("Our Holiday 2026", ("2026", "OUR")),
        ("Our Holiday 2026", ("olid",)),
        ("Été à Besançon", ("éTÉ",)),
        ("Été à Besançon", ("besanÇON", "à")),
        ("ИСТОРИЯ России", ("история",)),
        ("我们的假期视频", ("的假期",)),
        ("我们的假期视频", ("假期",)),
        ("我们的假期视频", ("频", "我们")),
        ("Ünï_x%é \\ UOJ", ("NÏ_X%É",)),
        ("100% of it_all \\ now", ("100%", "it_all", "\\")),
    ],
)
async def test_title_contains_words_in_any_case(
    database: PostgresDatabase, create: Create, title: str, words: tuple[str, ...]
) -> None:
    await create(title=title)
    await create(title="100x of itxall now")

    assert await titles(database, words=words) == {title}


async def test_words_are_no_patterns(database: PostgresDatabase, create: Create) -> None:
    await create(title="plain words")

    await create(title="Ünïcode wörds uoj")
    for word in ("ü_ï", "ü%w", "ïcode%", "oj é", "é", "wörd_", "UOJé", "\\ö"):
        assert await titles(database, words=(word,)) == set(), word
    for word in ("%", "_____", "pl%ds", "pl_in", "\\", "plain\\", "'; DROP TABLE videos; --"):
        assert await titles(database, words=(word,)) == set(), word


async def test_deleted_videos_are_listed_on_request(database: PostgresDatabase, create: Create) -> None:
    soft, hard, live = [await create(title=title) for title in ("soft", "hard", "live")]
    await database.videos.delete(soft.id, retention=RETENTION)
    await database.videos.delete(hard.id)

    assert await listed(database, VideoFilter()) == [live]
    [first, second] = await listed(database, VideoFilter(with_deleted=True), limit=1)
    assert (first, second.title) == (live, "soft")
    assert second.deleted_at is not None
    await database.pool.execute("UPDATE videos SET undelete_until = now() WHERE id = $1", soft.id)
    assert await listed(database, VideoFilter(with_deleted=True)) == [live]


async def test_external_id_finds_one_video_of_owner(database: PostgresDatabase, create: Create) -> None:
    mine, _ = await create(external_id="7"), await create(external_id="8")
    others = await create(external_id="7", user_id="bob")

    assert await listed(database, VideoFilter(external_id="7")) == [others, mine]
    assert await listed(database, VideoFilter(external_id="7", user_id="ann")) == [mine]


@pytest.mark.parametrize("kind", [None, "VIDEO", "AUDIO"])
async def test_kind_is_that_of_the_published_encode(
    database: PostgresDatabase, create: Create, kind: str | None
) -> None:
    """Encodes of earlier releases have none: they are films."""
    published = {} if kind is None else {"media_kind": kind}
    await create(title="unpublished")
    video = await create(title="published")
    await database.pool.execute(PUBLISH, video.id, json.dumps(PUBLICATION | published))

    for wanted in MediaKind:
        found = {"published"} if wanted == (kind or "VIDEO") else set()
        assert await titles(database, media_kind=wanted) == found
        assert await titles(database, media_kind=wanted, user_id="ann") == found


def matches(video: Video, which: VideoFilter) -> bool:
    """What a filter means, in Python."""
    terms = {*video.labels, *(f"{key}={value}" for key, value in video.labels.items())}
    return (
        which.user_id in (None, video.user_id)
        and which.status in (None, video.status)
        and which.external_id in (None, video.external_id)
        and set(which.labels) <= terms
        and all(word.lower() in video.title.lower() for word in which.words)
        and (which.created_from is None or video.created_at >= which.created_from)
        and (which.created_until is None or video.created_at < which.created_until)
        and which.media_kind in (None, video.publication.media_kind if video.publication else "")
        and (which.with_deleted or video.deleted_at is None)
    )


async def test_filters_find_what_they_mean(database: PostgresDatabase, create: Create) -> None:
    """Random filters over random videos, through pages of random sizes, against the meaning in Python."""
    chance = random.Random(12)
    subjects, courses = ["Algebra", "Été", "holiday film", "ALGEBRA film"], ["1", "2", "3"]
    videos = []
    for number in range(120):
        labels = {key: chance.choice(courses) for key in ("course", "term") if chance.random() < 0.6}
        video = await create(
            title=f"{chance.choice(subjects)} {number % 7}",
            user_id=chance.choice(["ann", "bob"]),
            labels=labels,
            external_id=str(number) if number % 3 else "",
        )
        if chance.random() < 0.3:
            await database.encodes.start_encode(video.id, profile="default")
        if chance.random() < 0.6:
            kind = {"media_kind": chance.choice(list(MediaKind))}
            await database.pool.execute(PUBLISH, video.id, json.dumps(PUBLICATION | kind))
        if chance.random() < 0.2:
            await database.videos.delete(video.id, retention=RETENTION)
        videos.append(await database.videos.get_restorable(video.id))
    videos.sort(key=lambda video: (video.created_at, video.id), reverse=True)
    sizes = []
    for _ in range(300):
        which = _filter(chance, videos, subjects)
        found = await listed(database, which, limit=chance.choice([1, 3, 7, 200]))
        assert found == [video for video in videos if matches(video, which)], which
        sizes.append(len(found))
    assert sum(size > 3 for size in sizes) > 60, "the filters are not all too narrow"


def _filter(chance: random.Random, videos: list[Video], subjects: list[str]) -> VideoFilter:
    """A filter with each field now and then."""
    first, second = sorted(chance.choice(videos).created_at for _ in range(2))
    fields: dict[str, Any] = {
        "user_id": "ann",
        "status": chance.choice([VideoStatus.PROCESSING, VideoStatus.PENDING_UPLOAD, VideoStatus.READY]),
        "external_id": chance.choice(videos).external_id or None,
        "labels": chance.choice([("course",), ("course=1",), ("course=2", "term"), ("nothing",)]),
        "words": tuple(chance.choice(subjects).upper().split()),
        "created_from": first,
        "created_until": second,
        "media_kind": chance.choice(list(MediaKind)),
        "with_deleted": True,
    }
    rare = {"external_id": 0.05, "status": 0.2}
    return replace(
        VideoFilter(),
        **{name: value for name, value in fields.items() if chance.random() < rare.get(name, 0.3)},
    )


async def test_changes_between_pages_repeat_no_video(database: PostgresDatabase, create: Create) -> None:
    """Every video that matches all the time is listed once, whatever others do."""
    steady = [await create(title=f"steady film {number}", labels={"a": "1"}) for number in range(30)]
    moving = [await create(title=f"moving film {number}", labels={"a": "1"}) for number in range(30)]
    which = VideoFilter(labels=("a",), words=("film",), with_deleted=True)
    stop = asyncio.Event()

    async def change() -> None:
        chance = random.Random(3)
        while not stop.is_set():
            video = chance.choice(moving)
            now = await database.videos.get_restorable(video.id)
            if now.deleted_at is None:
                await database.videos.delete(video.id, retention=RETENTION)
            else:
                await database.deletions.undelete(video.id)
            await create(title="new film", labels={"a": "1"})

    changing = asyncio.create_task(change())
    try:
        for _ in range(10):
            ids = [video.id for video in await listed(database, which, limit=3)]
            assert len(ids) == len(set(ids))
            assert {video.id for video in (*steady, *moving)} <= set(ids)
    finally:
        stop.set()
        await changing
