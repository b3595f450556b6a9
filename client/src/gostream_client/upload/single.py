"""The source as one PUT, streamed from disk, and repeated after transient failures."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO

from gostream.v1.video_service_pb2 import Upload
from gostream_client.errors import GoStreamError, UploadError, UrlExpiredError
from gostream_client.upload import http, store
from gostream_client.upload.source import SourceFile
from gostream_client.upload.store import TRANSIENT_STATUSES, TransientError, tag

ATTEMPTS = 4  # including the first


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
        except TransientError as error:
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
    answer = await store.send(
        upload.method,
        upload.url,
        upload.headers,
        source.size,
        partial(source.chunks, file),
        on_sent=on_sent,
        stall=stall,
    )
    if answer.status >= 300:
        raise _refusal(answer, upload)


def _refusal(answer: http.Response, upload: Upload) -> GoStreamError:
    """Translates an error response; S3's XML body has a code and a message."""
    status, text = answer.status, answer.body.decode("utf-8", "replace")
    code = tag(text, "Code")
    message = tag(text, "Message") or f"HTTP {status}"
    if status in TRANSIENT_STATUSES:
        return TransientError(f"the object store answered {status}: {message}", reason=code)
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
