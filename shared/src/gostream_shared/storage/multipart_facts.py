"""Tests on an object store whether it follows the rules of uploads in parts."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import aiohttp
from yarl import URL

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.facts import Fact
from gostream_shared.storage.port import (
    MultipartEndedError,
    ObjectStore,
    PresignedUpload,
    StoredPart,
)

_TYPE = "video/mp4"
_REFUSALS = frozenset({400, 403, 404})
#: Stores list the times of parts in seconds.
_SECOND = 1.1


async def put_status(upload: PresignedUpload, body: bytes, headers: Mapping[str, str]) -> int:
    """Send a request of the store. Returns the status. Raises BackendUnavailableError without an answer."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.put(URL(upload.url, encoded=True), data=body, headers=headers) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BackendUnavailableError("object store") from error


class _Trial:
    """One multipart upload of a temporary object."""

    def __init__(self, store: ObjectStore, key: str, upload_id: str) -> None:
        self.store = store
        self.key = key
        self.upload_id = upload_id

    @classmethod
    async def begin(cls, store: ObjectStore, key: str) -> "_Trial":
        return cls(store, key, await store.create_multipart(key, content_type=_TYPE))

    async def sign(self, number: int, body: bytes) -> PresignedUpload:
        return await self.store.sign_part(
            self.key,
            self.upload_id,
            number=number,
            size_bytes=len(body),
            md5=_md5(body),
            expires_in=timedelta(minutes=5),
        )

    async def send(self, number: int, body: bytes) -> int:
        signed = await self.sign(number, body)
        return await put_status(signed, body, signed.headers)

    async def parts(self) -> Sequence[StoredPart]:
        return await self.store.list_parts(self.key, self.upload_id)

    async def completes(self) -> bool:
        """Returns whether the parts become the object."""
        return await self.completes_with(await self.parts())

    async def completes_with(self, parts: Sequence[StoredPart]) -> bool:
        try:
            await self.store.complete_multipart(self.key, self.upload_id, parts)
        except (BackendUnavailableError, MultipartEndedError):
            return False
        return True

    async def end(self) -> None:
        with suppress(BackendUnavailableError):
            await self.store.abort_multipart(self.key, self.upload_id)


async def multipart_facts(store: ObjectStore, prefix: str) -> list[Fact]:
    """Test the rules on temporary objects below `prefix`.

    Raises BackendUnavailableError if the store does not answer.
    """
    folder = f"{prefix}.store-check-{uuid4()}/"
    keys = [f"{folder}{name}" for name in ("a", "b", "c")]
    trials = [await _Trial.begin(store, key) for key in keys]
    try:
        first, second, third = trials
        return [
            *await _signatures(first, await _Trial.begin(store, keys[0])),
            *await _contents(first),
            *await _completion(first),
            *await _refusals(second, third),
        ]
    finally:
        for trial in trials:
            await trial.end()
        await store.abort_multipart_uploads(folder)
        await store.delete(keys)


async def _signatures(trial: _Trial, other: _Trial) -> list[Fact]:
    signed = await trial.sign(1, b"ab")
    url, foreign = signed.url, await other.sign(1, b"ab")

    async def refused(body: bytes, headers: Mapping[str, str], changed: str = url) -> bool:
        upload = PresignedUpload(method="PUT", url=changed, expires_at=signed.expires_at)
        return await put_status(upload, body, headers) in _REFUSALS

    async def unsigned(body: bytes) -> bool:
        """Whether the signature refuses the body, and not its MD5."""
        return await put_status(signed, body, signed.headers) == 403

    right = dict(signed.headers)
    wrong = {"Content-MD5": b64encode(_md5(b"xy")).decode()}
    second = url.replace("partNumber=1", "partNumber=2")
    other_id = url.replace(_id_in(url), _id_in(foreign.url))
    facts = [
        Fact("a part with another content is refused", await refused(b"xy", right)),
        Fact("a part without its signed MD5 is refused", await refused(b"ab", {})),
        Fact("a part with another MD5 is refused", await refused(b"xy", wrong)),
        Fact("a longer part is refused", await unsigned(b"abc")),
        Fact("a shorter part is refused", await unsigned(b"a")),
        Fact(
            "a URL is valid for one part number",
            await refused(b"ab", right, second),
        ),
        Fact("a URL is valid for one key", await refused(b"ab", right, url.replace("/a?", "/b?"))),
        Fact("a URL is valid for one upload", await refused(b"ab", right, other_id)),
        Fact("refused parts are not stored", not await trial.parts() and not await other.parts()),
        Fact("a part as signed is accepted", await put_status(signed, b"ab", right) == 200),
    ]
    await other.end()
    return facts


async def _contents(trial: _Trial) -> list[Fact]:
    [part] = await trial.parts()
    facts = [Fact("the ETag of a part is its MD5", part.md5 == _md5(b"ab"))]
    await asyncio.sleep(_SECOND)
    await trial.send(1, b"cd")
    facts.append(
        Fact(
            "a part that is sent again is listed with its last content",
            [each.md5 for each in await trial.parts()] == [_md5(b"cd")],
        )
    )
    return facts


async def _completion(trial: _Trial) -> list[Fact]:
    parts = await trial.parts()
    facts = [
        Fact("parts become the object", await trial.completes_with(parts)),
        Fact("the object has the last content of its parts", await trial.store.get(trial.key) == b"cd"),
    ]
    await trial.completes_with(parts)
    facts += [
        Fact("a repeated completion keeps the object", await trial.store.get(trial.key) == b"cd"),
        Fact("a part after the completion is refused", await trial.send(1, b"ef") == 404),
    ]
    again = await _Trial.begin(trial.store, trial.key)
    await again.send(1, b"gh")
    facts.append(Fact("a completion does not replace an object", not await again.completes()))
    await again.end()
    return facts


async def _refusals(small: _Trial, aborted: _Trial) -> list[Fact]:
    for number in (1, 2):
        await small.send(number, b"ab")
    await aborted.send(1, b"ab")
    await aborted.end()
    try:
        await aborted.parts()
    except MultipartEndedError:
        is_gone = True
    else:
        is_gone = False
    return [
        Fact("a small part before the last one prevents the completion", not await small.completes()),
        Fact("an aborted upload has no parts", is_gone),
        Fact("a part after the abort is refused", await aborted.send(1, b"ab") == 404),
    ]


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _id_in(url: str) -> str:
    """Returns the encoded upload id in the URL of a part."""
    return url.partition("uploadId=")[2].partition("&")[0]
