"""Checks the object store at the start, so that wrong keys or a wrong bucket are reported at once."""

import asyncio

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from gostream_shared.config import Config
from gostream_shared.domain.errors import BackendRefusedError
from gostream_shared.observability.causes import server_of
from gostream_shared.storage.s3 import S3ObjectStore, new_client
from gostream_shared.storage.s3_errors import BACKEND, cause_of, is_refusal, kind_of

_log = structlog.stdlib.get_logger("gostream.backend")

#: Longest wait in seconds. The service also starts while the store is down.
CHECK_TIMEOUT = 5.0
#: A missing object. It is read with GET: a HEAD response has no body with an error code.
_KEY = "uploads/.start"


async def check_store(store: S3ObjectStore, config: Config) -> None:
    """Request a missing object. Raises BackendRefusedError if the keys or the bucket are wrong.

    Any other failure is only logged.
    """
    try:
        async with (
            asyncio.timeout(CHECK_TIMEOUT),
            new_client(store.session, config.s3_endpoint_url, config.s3_ca_file, attempts=1) as client,
        ):
            answer = await client.get_object(Bucket=config.s3_bucket, Key=_KEY)
            answer["Body"].close()
    except (ClientError, BotoCoreError, OSError) as error:
        if kind_of(error) == "NoSuchKey":
            return
        cause = cause_of(error, CHECK_TIMEOUT)
        if is_refusal(error):
            if kind_of(error) == "AccessDenied":
                cause += "; the bucket name is wrong, or s3:GetObject or s3:ListBucket is not allowed"
            raise BackendRefusedError(BACKEND, f"{server_of(BACKEND)}: {cause}") from error
        _log.warning("backend failed", backend=BACKEND, server=server_of(BACKEND), cause=cause)
