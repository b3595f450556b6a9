"""One HTTP request for the bytes behind a URL, from an offset on. The egress guard checks every hop."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from gostream_shared.egress.guard import EgressGuard, UrlRefusedError
from gostream_worker.ingest.faults import CannotResumeError, fault_of, fault_of_status, refused, unreachable

MAX_REDIRECTS = 5
#: Seconds for the connection, and without a byte.
_CONNECT_TIMEOUT = 15.0
STALL_TIMEOUT = 30.0
#: Seconds for the head of an answer, name resolution included.
_HEAD_TIMEOUT = 60.0
#: Longest pause that a server may ask for, in seconds.
_LONGEST_PAUSE = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUFFER = 1 << 18
#: Longest URL in a redirect, in characters.
_LONGEST_LOCATION = 8000
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")
#: `identity`, because a compressed file could grow without limit.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "GoStream"}


@dataclass(frozen=True, slots=True)
class Body:
    """The answer of a server. `size` of the whole file in bytes, None if the server does not tell.

    `validator` identifies the version of the file, for If-Range; empty if it cannot be resumed.
    """

    content: aiohttp.StreamReader
    size: int | None
    validator: str


@asynccontextmanager
async def open_session(guard: EgressGuard) -> AsyncIterator[aiohttp.ClientSession]:
    """Yields a session whose connections all pass the guard. It uses no proxy, and keeps no cookies."""
    connector = aiohttp.TCPConnector(
        socket_factory=guard.open_socket, limit=2, force_close=True, use_dns_cache=False
    )
    timeout = aiohttp.ClientTimeout(
        total=None, connect=_CONNECT_TIMEOUT * 2, sock_connect=_CONNECT_TIMEOUT, sock_read=STALL_TIMEOUT
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=_BUFFER,
        headers=_HEADERS,
    ) as session:
        yield session


@asynccontextmanager
async def open_body(
    session: aiohttp.ClientSession, guard: EgressGuard, url: str, *, offset: int = 0, validator: str = ""
) -> AsyncIterator[Body]:
    """Yields the body from `offset` on, of the version that has this validator.

    Raises ProcessingFailedError if the server has no source, ConnectionLostError if a later request may
    succeed, and CannotResumeError. Reading the body raises errors of aiohttp.
    """
    headers = {"Range": f"bytes={offset}-", "If-Range": validator} if offset else {}
    async with await _follow(session, guard, url, headers) as response:
        if offset and response.status != 206 and response.status < 300:
            raise CannotResumeError
        if response.status != (206 if offset else 200):
            raise fault_of_status(response.status, pause=_pause(response))
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise unreachable("The server of the source sends it compressed.", "Content-Encoding")
        size = _size_of_range(response, offset) if offset else response.content_length
        yield Body(response.content, size, _validator(response))


async def _follow(
    session: aiohttp.ClientSession, guard: EgressGuard, url: str, headers: dict[str, str]
) -> aiohttp.ClientResponse:
    """Returns the answer after at most MAX_REDIRECTS redirects."""
    for _ in range(MAX_REDIRECTS + 1):
        response = await _get(session, _check(guard, url), headers)
        if response.status not in _REDIRECTS:
            return response
        location = response.headers.get("Location", "")
        response.close()
        if not location:
            raise fault_of_status(response.status, pause=0.0)
        try:
            url = urljoin(url, location)
        except ValueError:
            raise refused("a redirect to no URL") from None
    raise unreachable(
        f"The URL of the source redirects more than {MAX_REDIRECTS} times.", "too many redirects"
    )


def _check(guard: EgressGuard, url: str) -> URL:
    try:
        return guard.check_url(url, at_most=_LONGEST_LOCATION)
    except UrlRefusedError as error:
        raise refused(f"the URL, or the one of a redirect, {error}") from None


async def _get(session: aiohttp.ClientSession, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
    try:
        async with asyncio.timeout(_HEAD_TIMEOUT):
            return await session.get(url, headers=headers, allow_redirects=False)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise fault_of(error) from error


def _size_of_range(response: aiohttp.ClientResponse, offset: int) -> int | None:
    """Returns the size of the whole file. Raises CannotResumeError for another range than requested."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match or int(match[1]) != offset:
        raise CannotResumeError
    return int(match[2]) if match[2] else None


def _validator(response: aiohttp.ClientResponse) -> str:
    """Returns a strong ETag, or the time of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _pause(response: aiohttp.ClientResponse) -> float:
    """Returns the seconds of Retry-After, 0.0 without it."""
    text = response.headers.get("Retry-After", "")
    return min(_LONGEST_PAUSE, float(text)) if re.fullmatch(r"[0-9]{1,9}", text) else 0.0
