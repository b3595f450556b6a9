"""Sending the source to the object store: one PUT, streamed from disk, repeated when that can help."""

import asyncio
import random
import re
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gostream.v1 import video_service_pb2
from gostream_client.errors import ClientError, InvalidInputError, UnreachableError
from gostream_client.text import printable

CHUNK_BYTES = 1 << 20
ATTEMPTS = 4  # the first, and three more
# 409: another conditional PUT of the same object is at work.
_TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
_ANSWER_LIMIT = 4096
_NO_STREAM = "{} cannot be uploaded: the size must be known before; write it to a file first"


class SourceFile:
    """A local file of a size fixed at the start; what it sends is exactly that many bytes."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInputError for what is no regular file, is empty or cannot be read."""
        self.path = path
        self.name = printable(str(path))
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
                path.open("rb").close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if str(path) == "-":
                raise InvalidInputError(_NO_STREAM.format("stdin")) from None
            cause = getattr(error, "strerror", None) or str(error)
            raise InvalidInputError(f"{self.name} cannot be read: {cause}") from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(_kind_refused(self.name, found.st_mode))
        self.size = found.st_size
        if not self.size:
            raise InvalidInputError(f"{self.name} is empty")

    async def chunks(self, file: BinaryIO, on_sent: Callable[[int], None]) -> AsyncIterator[bytes]:
        """The bytes of `file` on; `on_sent` hears after each chunk how many were taken so far."""
        sent = 0
        on_sent(0)
        while sent < self.size:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, self.size - sent))
            if not chunk:
                raise _FileChangedError(f"{self.name} became shorter while it was uploaded")
            yield chunk
            sent += len(chunk)
            on_sent(sent)


def _kind_refused(name: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return f"{name} is a directory, not a file"
    if stat.S_ISFIFO(mode):
        return _NO_STREAM.format(f"{name} is a pipe and")
    return f"{name} is a {'socket' if stat.S_ISSOCK(mode) else 'device'}, not a file"


class _FileChangedError(ClientError):
    pass


class _TransientError(UnreachableError):
    """This PUT failed; the next one may not."""


class _ExistsError(ClientError):
    """The store holds the source already: an upload URL creates it once."""


async def put(
    upload: video_service_pb2.Upload,
    source: SourceFile,
    *,
    on_sent: Callable[[int], None],
    on_retry: Callable[[str], None] = lambda why: None,
    stall: float = 60.0,
    backoff: float = 0.5,
) -> None:
    """Upload `source` as `upload` says; returns when the store has confirmed it.

    Connection failures, 60 s without a byte moved and 5xx answers are tried again with back-off; a refusal
    is not. If an attempt after the first finds the source in the store, an earlier one has created it and its
    confirmation was lost. Raises ClientError.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=10)) as session:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                # Opened here: aiohttp does not close the body of a request that failed.
                with await asyncio.to_thread(source.path.open, "rb") as file:
                    await _put_once(session, upload, source, file, on_sent, stall)
            except _TransientError as error:
                if attempt == ATTEMPTS:
                    raise
                on_retry(f"{error}; trying again ({attempt} of {ATTEMPTS - 1})")
            except _ExistsError:
                if attempt == 1:
                    raise
                on_sent(source.size)
                return
            else:
                return
            await asyncio.sleep(backoff * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 – jitter


async def _put_once(
    session: aiohttp.ClientSession,
    upload: video_service_pb2.Upload,
    source: SourceFile,
    file: BinaryIO,
    on_sent: Callable[[int], None],
    stall: float,
) -> None:
    loop = asyncio.get_running_loop()
    failed: list[_FileChangedError] = []
    url = URL(upload.url, encoded=True)  # signed: not a letter of it may be quoted anew
    headers = CIMultiDict(upload.headers)
    headers["Content-Length"] = str(source.size)
    try:
        async with asyncio.timeout(stall) as deadline:

            def moved(sent: int) -> None:
                deadline.reschedule(loop.time() + stall)
                on_sent(sent)

            async def body() -> AsyncIterator[bytes]:
                try:
                    async for chunk in source.chunks(file, moved):
                        yield chunk
                except _FileChangedError as error:  # aiohttp would wrap it into a lost connection
                    failed.append(error)
                    raise

            # 100-continue: a refusal arrives before gigabytes are sent, not instead of them.
            async with session.request(
                upload.method, url, data=body(), headers=headers, expect100=True, allow_redirects=False
            ) as answer:
                if answer.status >= 300:
                    text = (await answer.content.read(_ANSWER_LIMIT)).decode("utf-8", "replace")
                    raise _refusal(answer.status, text, upload)
    except TimeoutError:
        raise _TransientError(f"the object store took no data for {stall:.0f} s") from None
    except aiohttp.InvalidURL:
        raise ClientError("the server answered an upload URL that is not one") from None
    except aiohttp.ClientError as error:
        if failed:
            raise failed[0] from None
        host = upload.url.split("?")[0]
        raise _TransientError(
            f"the connection to the object store failed at {host}: {_short(error)}"
        ) from None


def _refusal(status: int, text: str, upload: video_service_pb2.Upload) -> ClientError:
    """The store's answer in words; S3's XML error names a code and a message."""
    code = _tag(text, "Code")
    said = _tag(text, "Message") or f"HTTP {status}"
    if status in _TRANSIENT_STATUSES:
        return _TransientError(f"the object store answered {status}: {said}", reason=code)
    if status == 412:
        return _ExistsError("a source was uploaded for this video before; create another", reason=code)
    expire_time = upload.expire_time.ToDatetime(UTC)
    if status == 403 and upload.HasField("expire_time") and expire_time <= datetime.now(UTC):
        return ClientError(
            f"the upload URL expired at {expire_time:%H:%M:%S} UTC; upload the file again",
            reason=code or "UPLOAD_EXPIRED",
        )
    if status in {403, 400, 411, 413}:
        return ClientError(f"the object store refused the upload ({status}): {said}", reason=code)
    return ClientError(f"the object store answered {status}: {said}", reason=code)


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", text)
    return "".join(c if c.isprintable() else " " for c in found[1]) if found else ""


def _short(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "cannot connect"
    return str(error) or type(error).__name__
