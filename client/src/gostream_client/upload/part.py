"""Sends one part to the object store by one PUT, and tells what a refusal means."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from gostream.v1.upload_pb2 import SignedPart
from gostream_client.errors import GoStreamError, UnreachableError, UploadError
from gostream_client.upload import http
from gostream_client.upload.single import TRANSIENT_STATUSES, tag

_CHUNK = 1 << 18
#: The body changed on the way.
_CORRUPTED = "BadDigest"


class TransientError(UnreachableError):
    """The part was not stored; a retry may succeed."""


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
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(stall) as deadline:

            async def chunks() -> AsyncGenerator[bytes, None]:
                for start in range(0, len(body), _CHUNK):
                    yield bytes(body[start : start + _CHUNK])
                    deadline.reschedule(loop.time() + stall)
                    on_sent(min(start + _CHUNK, len(body)))

            answer = await http.send("PUT", part.url, part.headers, len(body), chunks())
    except TimeoutError:
        raise TransientError(
            f"the object store accepted no data of part {part.number} for {stall:.0f} s"
        ) from None
    except http.InvalidUrlError:
        raise UploadError("the server returned an invalid upload URL") from None
    except http.ConnectionFailedError as error:
        host = part.url.split("?")[0]
        raise TransientError(f"the connection to the object store failed at {host}: {error}") from None
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
