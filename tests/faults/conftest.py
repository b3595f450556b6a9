"""Replicas of the API as processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gostream_devstack.fixtures import RedisSettings
from tests.faults.replicas import Fleet


@pytest.fixture
async def fleet(database_url: str, redis_settings: RedisSettings, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Start replicas with `await fleet.start(2)`."""
    async with Fleet.open(database_url, redis_settings, tmp_path) as opened:
        yield opened
