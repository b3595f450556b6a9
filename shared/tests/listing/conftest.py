"""A database, and videos in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Video

Create = Callable[..., Awaitable[Video]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


@pytest.fixture
def create(database: PostgresDatabase) -> Create:
    """A function that creates a video; keywords are fields of NewVideo."""

    async def create(**fields: Any) -> Video:
        plain: dict[str, Any] = {"user_id": "ann", "title": "Holiday", "content_type": "video/mp4"}
        return await database.videos.create(NewVideo(id=uuid4(), **(plain | fields)))

    return create
