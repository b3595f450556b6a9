"""Sends one part to the object store by one PUT, and tells what a refusal means."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gostream.v1 import upload_pb2
from gostream_client.errors import ClientError, UnreachableError

_CHUNK = 1 << 18
_ANSWER_LIMIT = 4096
_TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
#: The body changed on the way.
_CORRUPTED = "BadDigest"


class TransientError(UnreachableError):
    """The part was not stored; a retry may succeed."""


class UrlRefusedError(ClientError):
    """The store refused the URL, which may have expired (403)."""


class SessionGoneError(ClientError):
    """The store does not know the upload of the URL (404)."""


async def put_part(
    session: aiohttp.ClientSession,
    part: upload_pb2.SignedPart,
    body: memoryview,
    *,
    on_sent: Callable[[int], None],
    stall: float,
) -> None:
    """Send `body`. Calls `on_sent` with the number of bytes so far. Returns when the store has confirmed it.

    Raises TransientError also after `stall` seconds without progress, UrlRefusedError, SessionGoneError, and
    ClientError for other refusals.
    """
    loop = asyncio.get_running_loop()
    headers = CIMultiDict(part.headers)
    headers["Content-Length"] = str(len(body))
    url = URL(part.url, encoded=True)  # signed, so its quoting must not change
    try:
        async with asyncio.timeout(stall) as deadline:

            async def chunks() -> AsyncIterator[bytes]:
                for start in range(0, len(body), _CHUNK):
                    yield bytes(body[start : start + _CHUNK])
                    deadline.reschedule(loop.time() + stall)
                    on_sent(min(start + _CHUNK, len(body)))

            # 100-continue: the store can refuse the request before the body is sent.
            async with session.put(
                url, data=chunks(), headers=headers, expect100=True, allow_redirects=False
            ) as answer:
                if answer.status >= 300:
                    text = (await answer.content.read(_ANSWER_LIMIT)).decode("utf-8", "replace")
                    raise _refusal(part.number, answer.status, text)
    except TimeoutError:
        raise TransientError(
            f"the object store accepted no data of part {part.number} for {stall:.0f} s"
        ) from None
    except aiohttp.InvalidURL:
        raise ClientError("the server returned an invalid upload URL") from None
    except aiohttp.ClientError as error:
        host = part.url.split("?")[0]
        raise TransientError(
            f"the connection to the object store failed at {host}: {_short(error)}"
        ) from None


def _refusal(number: int, status: int, text: str) -> ClientError:
    """Translate an error response; S3's XML body has a code and a message."""
    code = _tag(text, "Code")
    message = f"the object store answered {status} to part {number}: {_tag(text, 'Message') or code}"
    if status in _TRANSIENT_STATUSES or code == _CORRUPTED:
        return TransientError(message, reason=code)
    if status == 403:
        return UrlRefusedError(message, reason=code)
    if status == 404:
        return SessionGoneError(message, reason=code)
    return ClientError(message, reason=code)


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", text)
    return "".join(c if c.isprintable() else " " for c in found[1]) if found else ""


def _short(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "cannot connect"
    return str(error) or type(error).__name__
