"""One request with a body to the object store: no progress for too long is a failure, and S3's errors."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TypeAlias

from gostream_client.errors import UnreachableError, UploadError
from gostream_client.upload import http

# 409: another conditional PUT of the same object is in progress.
TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})

#: Returns the chunks of a body, and calls its argument with the number of bytes sent after each chunk.
Body: TypeAlias = Callable[[Callable[[int], object]], AsyncGenerator[bytes, None]]


class TransientError(UnreachableError):
    """The store has not accepted the request; a retry may succeed."""


async def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    size: int,
    body: Body,
    *,
    on_sent: Callable[[int], object],
    stall: float,
    what: str = "data",
) -> http.Response:
    """Returns the response. Calls `on_sent` with the number of bytes so far.

    Raises TransientError for failed connections and after `stall` seconds without progress, and UploadError
    if the URL cannot be requested.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(stall) as deadline:

            def moved(sent: int) -> None:
                deadline.reschedule(loop.time() + stall)
                on_sent(sent)

            return await http.send(method, url, headers, size, body(moved))
    except TimeoutError:
        raise TransientError(f"the object store accepted no {what} for {stall:.0f} s") from None
    except http.InvalidUrlError:
        raise UploadError("the server returned an invalid upload URL") from None
    except http.ConnectionFailedError as error:
        place = url.split("?")[0]
        raise TransientError(f"the connection to the object store failed at {place}: {error}") from None


def tag(text: str, name: str) -> str:
    """Returns the content of an element of S3's XML; empty if there is none."""
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", text)
    return "".join(c if c.isprintable() else " " for c in found[1]) if found else ""
