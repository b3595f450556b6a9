"""Checks an object store against GoStream's rules: `python -m gostream_shared.storage.check`.

Reads the S3_… variables. The key needs permission to read, write, list and remove `uploads/*` and `hls/*`,
and to list and abort multipart uploads.
Exits 0 if the store follows every rule, 1 if it breaks one, 2 if the configuration is invalid.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

from gostream_shared.config import Config, ConfigError, load
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import SOURCES
from gostream_shared.storage.facts import Fact, fence_facts, other_facts
from gostream_shared.storage.multipart_facts import multipart_facts, put_status
from gostream_shared.storage.port import ObjectStore
from gostream_shared.storage.s3 import S3ObjectStore

_TYPE = 'video/mp4;codecs="avc1.42E01E, mp4a.40.2"'


async def upload_facts(store: ObjectStore) -> list[Fact]:
    """Test the rules for upload URLs. Raises BackendUnavailableError if the store does not answer."""
    key = f"uploads/.store-check-{uuid4()}"
    upload = await store.presign_upload(
        key, content_type=_TYPE, size_bytes=2, expires_in=timedelta(minutes=5)
    )

    async def send(body: bytes, headers: Mapping[str, str]) -> int:
        return await put_status(upload, body, headers)

    headers = dict(upload.headers)
    try:
        return [
            Fact(
                "an upload without its signed condition is refused",
                await send(b"ab", {"Content-Type": _TYPE}) == 403,
            ),
            Fact("an upload of another size is refused", await send(b"abc", headers) == 403),
            Fact(
                "an upload of another type is refused",
                await send(b"ab", headers | {"Content-Type": "text/html"}) == 403,
            ),
            Fact("an upload as signed is accepted", await send(b"ab", headers) == 200),
            Fact("a second upload is refused", await send(b"cd", headers) == 412),
        ]
    finally:
        await store.delete([key])


async def check(config: Config) -> list[Fact]:
    """Test every rule on the store. Raises BackendUnavailableError if it does not answer."""
    async with S3ObjectStore.open(config) as store:
        return [
            *await fence_facts(store, "hls/"),
            *await other_facts(store, "hls/"),
            *await upload_facts(store),
            *await multipart_facts(store, SOURCES),
        ]


def main() -> None:
    try:
        config = load(Config, {"DATABASE_URL": "postgresql://unused", **os.environ})
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    try:
        facts = asyncio.run(check(config))
    except BackendUnavailableError as error:
        print(f"{error} ({error.__cause__})", file=sys.stderr)
        sys.exit(1)
    for fact in facts:
        print(f"{'yes' if fact.holds else 'NO':<4}{fact.sentence}{' (required)' if fact.fence else ''}")
    sys.exit(0 if all(fact.holds for fact in facts) else 1)


if __name__ == "__main__":
    main()
