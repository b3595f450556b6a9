"""What GoStream needs an object store to do, tried out on the store itself.

Stores that speak S3 differ in conditional writes, and one that ignores a condition says nothing: a worker
that was overtaken would overwrite what its successor has published.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from gostream_shared.domain.errors import BackendUnavailableError, GoStreamError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, ObjectStore, StoredObject

_TYPE = "text/plain"
_NOWHERE = "hls/.store-check-nowhere/"
#: A request that the store is to carry out, or to refuse.
Attempt = Callable[[ObjectStore], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a store does or does not do. `fence` = without it nothing may be published."""

    sentence: str
    holds: bool
    fence: bool = False


class StoreUnfitError(GoStreamError):
    """The object store does not do what publishing relies on."""

    def __init__(self, *facts: Fact) -> None:
        super().__init__(
            "the object store cannot be used, because it does not keep these rules: "
            + "; ".join(fact.sentence for fact in facts)
        )


async def require_fence(store: ObjectStore, prefix: str) -> None:
    """Try the rules that publishing relies on, on objects below `prefix`, which are removed.

    Raises StoreUnfitError, and BackendUnavailableError if the store does not answer.
    """
    broken = [fact for fact in await fence_facts(store, prefix) if not fact.holds]
    if broken:
        raise StoreUnfitError(*broken)


async def fence_facts(store: ObjectStore, prefix: str) -> list[Fact]:
    """The rules that publishing relies on. Raises BackendUnavailableError if the store does not answer."""
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
    """What removing relies on. Raises BackendUnavailableError if the store does not answer."""
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
    """False if the condition is not met; None if the store refuses the condition itself, as some do."""
    try:
        await attempt(store)
    except (ObjectReplacedError, ObjectNotFoundError):
        return False
    except BackendUnavailableError:
        _ = [found async for found in store.list(_NOWHERE)]  # raises if the store is away
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
