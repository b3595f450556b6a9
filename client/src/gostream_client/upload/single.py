"""The source as one PUT, streamed from disk, and repeated after transient failures."""

import asyncio
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO

from gostream.v1.video_service_pb2 import Upload
from gostream_client.errors import GoStreamError, UnreachableError, UploadError, UrlExpiredError
from gostream_client.upload import http
from gostream_client.upload.source import SourceFile

ATTEMPTS = 4  # including the first
# 409: another conditional PUT of the same object is in progress.
TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})


class _TransientError(UnreachableError):
    """The PUT failed; a retry may succeed."""


class _ExistsError(UploadError):
    """The store already has the source: an upload URL creates it once."""


async def put(
    upload: Upload,
    source: SourceFile,
    *,
    on_sent: Callable[[int], object],
    on_retry: Callable[[str], object] = lambda why: None,
    stall: float = 60.0,
    backoff: float = 0.5,
) -> None:
    """Sends `source` with the request in `upload`. Returns when the store has confirmed it.

    Retries connection failures, `stall` seconds without progress and 5xx responses with back-off, but no
    rejection. If a retry finds the source in the store, an earlier attempt has created it and its
    confirmation was lost. Raises UploadError, or UnreachableError after ATTEMPTS.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with await asyncio.to_thread(source.path.open, "rb") as file:
                await _put_once(upload, source, file, on_sent, stall)
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
    upload: Upload, source: SourceFile, file: BinaryIO, on_sent: Callable[[int], object], stall: float
) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(stall) as deadline:

            def moved(sent: int) -> None:
                deadline.reschedule(loop.time() + stall)
                on_sent(sent)

            body = source.chunks(file, moved)
            answer = await http.send(upload.method, upload.url, upload.headers, source.size, body)
    except TimeoutError:
        raise _TransientError(f"the object store accepted no data for {stall:.0f} s") from None
    except http.InvalidUrlError:
        raise UploadError("the server returned an invalid upload URL") from None
    except http.ConnectionFailedError as error:
        host = upload.url.split("?")[0]
        raise _TransientError(f"the connection to the object store failed at {host}: {error}") from None
    if answer.status >= 300:
        raise _refusal(answer, upload)


def _refusal(answer: http.Response, upload: Upload) -> GoStreamError:
    """Translates an error response; S3's XML body has a code and a message."""
    status, text = answer.status, answer.body.decode("utf-8", "replace")
    code = tag(text, "Code")
    message = tag(text, "Message") or f"HTTP {status}"
    if status in TRANSIENT_STATUSES:
        return _TransientError(f"the object store answered {status}: {message}", reason=code)
    if status == 412:
        return _ExistsError("this video already has a source; create another video", reason=code)
    expire_time = upload.expire_time.ToDatetime(UTC)
    if status == 403 and upload.HasField("expire_time") and expire_time <= datetime.now(UTC):
        return UrlExpiredError(
            f"the upload URL expired at {expire_time:%H:%M:%S} UTC; upload the file again",
            reason=code or "UPLOAD_EXPIRED",
        )
    if status in {403, 400, 411, 413}:
        return UploadError(f"the object store refused the upload ({status}): {message}", reason=code)
    return UploadError(f"the object store answered {status}: {message}", reason=code)


def tag(text: str, name: str) -> str:
    """Returns the content of an element of S3's XML; empty if there is none."""
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", text)
    return "".join(c if c.isprintable() else " " for c in found[1]) if found else ""
