"""Translates errors of the S3 driver, and describes them for operators."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import ClientPayloadError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.httpsession import mask_proxy_url
from botocore.utils import get_environ_proxies

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.observability.causes import note_cause
from gostream_shared.storage.port import ObjectNotFoundError

BACKEND = "object store"
#: Seconds for one small request, including its retries.
REQUEST_TIMEOUT = 30.0
#: Seconds for one segment or for one chunk of a download to arrive.
TRANSFER_TIMEOUT = 120.0

# If-Match answers 412 if the object was replaced; for the reader, the requested object no longer exists.
_GONE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload", "412", "PreconditionFailed"})

#: Codes of wrong keys, a wrong bucket or a wrong region. AccessDenied is one of them: without s3:ListBucket,
#: a store answers AccessDenied for a missing object, so a missing upload cannot be detected.
_REFUSALS = frozenset(
    {
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "NoSuchBucket",
        "PermanentRedirect",
        "SignatureDoesNotMatch",
    }
)


@asynccontextmanager
async def store_errors(timeout: float) -> AsyncIterator[None]:
    """Limit the block to `timeout` seconds and translate driver errors."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except ClientError as error:
        if kind_of(error) in _GONE:
            raise ObjectNotFoundError from None
        raise _unavailable(error, timeout) from error
    except (BotoCoreError, ClientPayloadError, OSError, TimeoutError) as error:
        raise _unavailable(error, timeout) from error


def _unavailable(error: Exception, timeout: float) -> BackendUnavailableError:
    """Log the cause, which must not reach a client, and return the domain error."""
    cause = cause_of(error, timeout)
    note_cause(BACKEND, kind_of(error), cause)
    return BackendUnavailableError(BACKEND, cause)


def kind_of(error: Exception) -> str:
    """Returns S3's error code, or the class of the driver's error."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__


def cause_of(error: Exception, timeout: float) -> str:
    """Returns one line with the code or the class, the status and the operation, without secrets."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        return f"{error.operation_name}: {kind_of(error)} (HTTP {status})"
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout:.0f} s"
    below = getattr(error, "kwargs", {}).get("error")  # the cause, which botocore's text omits
    return f"{type(error).__name__}: {error}".splitlines()[0] + (f" ({below})" if below else "")


def is_refusal(error: Exception) -> bool:
    """Returns True if the store rejects the configured keys, bucket or region."""
    if isinstance(error, ClientError):
        return kind_of(error) in _REFUSALS
    return isinstance(error, (NoCredentialsError, PartialCredentialsError, SSLError))


def is_loopback(url: str) -> bool:
    """Returns True if the URL points to this machine, which needs no proxy."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def store_name(endpoint: str | None, bucket: str) -> str:
    """Returns the URL of the bucket and the proxy in use, for the log."""
    url = endpoint or "https://s3.amazonaws.com"
    proxies = {} if is_loopback(url) else get_environ_proxies(url)
    proxy = proxies.get(urlsplit(url).scheme)
    return f"{url}/{bucket}" + (f" through the proxy {mask_proxy_url(proxy)}" if proxy else "")
