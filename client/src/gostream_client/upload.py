"""Uploads the source to the object store: one PUT, streamed from disk, retried after transient failures."""

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
ATTEMPTS = 4  # including the first
# 409: another conditional PUT of the same object is in progress.
_TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
_ANSWER_LIMIT = 4096
_NO_STREAM = "{} cannot be uploaded, because its size is unknown; write it to a file first"


class SourceFile:
    """A local file. Its size is read at the start, and exactly that many bytes are sent."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInputError if the file is not regular, is empty or cannot be read."""
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
        """Yield the bytes of `file`; call `on_sent` with the number of bytes so far after each chunk."""
        sent = 0
        on_sent(0)
        while sent < self.size:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, self.size - sent))
            if not chunk:
                raise _FileChangedError(f"{self.name} became shorter during the upload")
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
    """The PUT failed; a retry may succeed."""


class _ExistsError(ClientError):
    """The store already has the source: an upload URL creates it once."""


async def put(
    upload: video_service_pb2.Upload,
    source: SourceFile,
    *,
    on_sent: Callable[[int], None],
    on_retry: Callable[[str], None] = lambda why: None,
    stall: float = 60.0,
    backoff: float = 0.5,
) -> None:
    """Send `source` with the request in `upload`. Returns when the store has confirmed it.

    Retries connection failures, 60 s without progress and 5xx responses with back-off, but no rejection. If a
    retry finds the source in the store, an earlier attempt has created it and its confirmation was lost.
    Raises ClientError.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=10)) as session:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                # Opened here, because aiohttp does not close the body of a failed request.
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
    url = URL(upload.url, encoded=True)  # signed, so its quoting must not change
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
                except _FileChangedError as error:  # aiohttp would report a lost connection
                    failed.append(error)
                    raise

            # 100-continue: the store can reject the request before the body is sent.
            async with session.request(
                upload.method, url, data=body(), headers=headers, expect100=True, allow_redirects=False
            ) as answer:
                if answer.status >= 300:
                    text = (await answer.content.read(_ANSWER_LIMIT)).decode("utf-8", "replace")
                    raise _refusal(answer.status, text, upload)
    except TimeoutError:
        raise _TransientError(f"the object store accepted no data for {stall:.0f} s") from None
    except aiohttp.InvalidURL:
        raise ClientError("the server returned an invalid upload URL") from None
    except aiohttp.ClientError as error:
        if failed:
            raise failed[0] from None
        host = upload.url.split("?")[0]
        raise _TransientError(
            f"the connection to the object store failed at {host}: {_short(error)}"
        ) from None


def _refusal(status: int, text: str, upload: video_service_pb2.Upload) -> ClientError:
    """Translate an error response; S3's XML body has a code and a message."""
    code = _tag(text, "Code")
    message = _tag(text, "Message") or f"HTTP {status}"
    if status in _TRANSIENT_STATUSES:
        return _TransientError(f"the object store answered {status}: {message}", reason=code)
    if status == 412:
        return _ExistsError("this video already has a source; create another video", reason=code)
    expire_time = upload.expire_time.ToDatetime(UTC)
    if status == 403 and upload.HasField("expire_time") and expire_time <= datetime.now(UTC):
        return ClientError(
            f"the upload URL expired at {expire_time:%H:%M:%S} UTC; upload the file again",
            reason=code or "UPLOAD_EXPIRED",
        )
    if status in {403, 400, 411, 413}:
        return ClientError(f"the object store refused the upload ({status}): {message}", reason=code)
    return ClientError(f"the object store answered {status}: {message}", reason=code)


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", text)
    return "".join(c if c.isprintable() else " " for c in found[1]) if found else ""


def _short(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "cannot connect"
    return str(error) or type(error).__name__
