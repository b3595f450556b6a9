"""Sends one part to the object store by one PUT, and reports what a refusal means."""

from collections.abc import AsyncGenerator, Callable

from gostream.v1.upload_pb2 import SignedPart
from gostream_client.errors import GoStreamError, UploadError
from gostream_client.upload import store
from gostream_client.upload.store import TRANSIENT_STATUSES, TransientError, tag

_CHUNK = 1 << 18
#: The body changed on the way.
_CORRUPTED = "BadDigest"


class UrlRefusedError(UploadError):
    """The store refused the URL, which may have expired (403)."""


class SessionGoneError(UploadError):
    """The store does not know the upload of the URL (404)."""


async def put_part(
    part: SignedPart, body: memoryview, *, on_sent: Callable[[int], object], stall: float
) -> None:
    """Sends `body`. Calls `on_sent` with the number of bytes so far. Returns when the store has confirmed it.

    Raises TransientError also after `stall` seconds without progress, UrlRefusedError, SessionGoneError, and
    UploadError for other refusals.
    """

    async def chunks(moved: Callable[[int], object]) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _CHUNK):
            yield bytes(body[start : start + _CHUNK])
            moved(min(start + _CHUNK, len(body)))

    answer = await store.send(
        "PUT",
        part.url,
        part.headers,
        len(body),
        chunks,
        on_sent=on_sent,
        stall=stall,
        what=f"data of part {part.number}",
    )
    if answer.status >= 300:
        raise _refusal(part.number, answer.status, answer.body.decode("utf-8", "replace"))


def _refusal(number: int, status: int, text: str) -> GoStreamError:
    """Translates an error response; S3's XML body has a code and a message."""
    code = tag(text, "Code")
    message = f"the object store answered {status} to part {number}: {tag(text, 'Message') or code}"
    if status in TRANSIENT_STATUSES or code == _CORRUPTED:
        return TransientError(message, reason=code)
    if status == 403:
        return UrlRefusedError(message, reason=code)
    if status == 404:
        return SessionGoneError(message, reason=code)
    return UploadError(message, reason=code)
