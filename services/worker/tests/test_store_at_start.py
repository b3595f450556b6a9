"""The worker checks the rules of its object store at start."""

import asyncio

import pytest

from gostream_shared.storage.facts import StoreUnfitError
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.app import open_consumer
from gostream_worker.config import WorkerConfig
from gostream_worker.health import health_server

pytestmark = pytest.mark.stack


async def test_store_that_ignores_conditions_stops_the_worker(
    config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def careless(
        self: S3ObjectStore,
        key: str,
        body: bytes,
        *,
        etag: str | None,
        content_type: str,
        cache_control: str = "",
    ) -> None:
        await self.put(key, body, content_type=content_type)

    monkeypatch.setattr(S3ObjectStore, "replace", careless)

    with pytest.raises(StoreUnfitError, match="does not replace an object"):
        async with (
            asyncio.timeout(300),
            health_server("127.0.0.1", 0) as health,
            open_consumer(config, health),
        ):
            await asyncio.Event().wait()
