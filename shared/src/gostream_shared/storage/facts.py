"""Tests on an object store whether it follows the rules that GoStream relies on.

S3-compatible stores differ in conditional writes, and a store that ignores a condition reports no error. Then
a worker that lost its fence would overwrite the publication of its successor.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from gostream_shared.domain.errors import BackendUnavailableError, GoStreamError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, ObjectStore, StoredObject

_TYPE = "text/plain"
_NOWHERE = "hls/.store-check-nowhere/"
#: A request that the store must execute or reject.
Attempt = Callable[[ObjectStore], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One rule and whether the store follows it. `fence` = publishing requires it."""

    sentence: str
    holds: bool
    fence: bool = False


class StoreUnfitError(GoStreamError):
    """The object store breaks rules that publishing relies on."""

    def __init__(self, *facts: Fact) -> None:
        super().__init__(
            "the object store cannot be used, because it breaks these rules: "
            + "; ".join(fact.sentence for fact in facts)
        )


async def require_fence(store: ObjectStore, prefix: str) -> None:
    """Test the rules for publishing on temporary objects below `prefix`.

    Raises StoreUnfitError if the store breaks one, BackendUnavailableError if it does not answer.
    """
    broken = [fact for fact in await fence_facts(store, prefix) if not fact.holds]
    if broken:
        raise StoreUnfitError(*broken)


async def fence_facts(store: ObjectStore, prefix: str) -> list[Fact]:
    """Test the rules for publishing. Raises BackendUnavailableError if the store does not answer."""
    key = f"{prefix}.store-check-{uuid4()}"
    try:
        await store.put(key, b"first", content_type=_TYPE)
        first = await store.head(key)
        facts = [
            await _refuses("a write with If-None-Match does not replace an object", store, _create(key)),
            await _refuses("a write with If-Match replaces no other version", store, _replace(key, '"0"')),
            await _accepts(
                "a write with If-Match replaces the version it names", store, _replace(key, first.etag)
            ),
            await _refuses("a read with If-Match finds no other version", store, _read(first)),
        ]
    finally:
        await store.delete([key])
    return facts


async def other_facts(store: ObjectStore, prefix: str) -> list[Fact]:
    """Test the rules for removing objects. Raises BackendUnavailableError if the store does not answer."""
    folder = f"{prefix}.store-check-{uuid4()}/"
    keys = {f"{folder}{number}" for number in range(3)}
    for key in sorted(keys):
        await store.put(key, b"x", content_type=_TYPE)
    listed = {found.key async for found in store.list(folder)}
    await store.delete(sorted(keys))
    left = {found.key async for found in store.list(folder)}
    return [
        Fact("a list shows what was written before it", listed == keys),
        Fact("a list does not show what was removed before it", not left),
        await _answers("unfinished multipart uploads are listed", store.abort_multipart_uploads(folder)),
    ]


async def _refuses(sentence: str, store: ObjectStore, attempt: Attempt) -> Fact:
    return Fact(sentence, holds=await _succeeds(store, attempt) is False, fence=True)


async def _accepts(sentence: str, store: ObjectStore, attempt: Attempt) -> Fact:
    return Fact(sentence, holds=await _succeeds(store, attempt) is True, fence=True)


async def _succeeds(store: ObjectStore, attempt: Attempt) -> bool | None:
    """Returns False if the condition is not met; None if the store does not support the condition."""
    try:
        await attempt(store)
    except (ObjectReplacedError, ObjectNotFoundError):
        return False
    except BackendUnavailableError:
        _ = [found async for found in store.list(_NOWHERE)]  # raises if the store does not answer
        return None
    return True


async def _answers(sentence: str, call: Awaitable[None]) -> Fact:
    try:
        await call
    except BackendUnavailableError:
        return Fact(sentence, holds=False)
    return Fact(sentence, holds=True)


def _create(key: str) -> Attempt:
    return lambda store: store.replace(key, b"other", etag=None, content_type=_TYPE)


def _replace(key: str, etag: str) -> Attempt:
    return lambda store: store.replace(key, b"second", etag=etag, content_type=_TYPE)


def _read(first: StoredObject) -> Attempt:
    return lambda store: store.read_range(first.key, start=0, size=1, etag=first.etag)
