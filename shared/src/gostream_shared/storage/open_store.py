"""Opens the object store of a service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gostream_shared.config import Config
from gostream_shared.storage.port import ObjectStore


@asynccontextmanager
async def open_store(config: Config) -> AsyncIterator[ObjectStore]:
    """Open the store and check its keys and its bucket. Raises BackendRefusedError if they are wrong."""
    await asyncio.to_thread(_import_driver)
    from gostream_shared.storage.s3 import S3ObjectStore
    from gostream_shared.storage.s3_start import check_store

    async with S3ObjectStore.open(config) as store:
        await check_store(store, config)
        yield store


def _import_driver() -> None:
    # The largest import of a service, which its `--help` and the parent of several processes do not need.
    import gostream_shared.storage.s3_start  # noqa: F401
