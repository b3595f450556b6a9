"""What can go wrong while a source is fetched, and what a user is told. No text of a driver, no address."""

import asyncio

import aiohttp

from gostream_shared.egress.guard import AddressRefusedError
from gostream_worker.failures import Code, ProcessingFailedError

#: Statuses after which a server may answer otherwise soon.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
#: For names without an address and for internal names alike, so that callers cannot list the latter.
_NO_SERVER = "The server of the source was not found, or has no public address."
_BAD_CERTIFICATE = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)


class ConnectionLostError(Exception):
    """The request failed, but a later one may succeed: after `pause` seconds if the server named a time.

    `sentence` is what a user sees if no later request succeeds.
    """

    def __init__(self, sentence: str, cause: str, *, pause: float = 0.0) -> None:
        super().__init__(cause)
        self.sentence = sentence
        self.pause = pause


class CannotResumeError(Exception):
    """The server does not continue where the connection broke, or its file has changed."""


def unreachable(sentence: str, detail: str, *, helps_later: bool = False) -> ProcessingFailedError:
    return ProcessingFailedError(Code.SOURCE_UNREACHABLE, detail, sentence=sentence, helps_later=helps_later)


def refused(detail: str) -> ProcessingFailedError:
    return ProcessingFailedError(Code.SOURCE_URL_REFUSED, detail)


def fault_of_status(status: int, *, pause: float) -> Exception:
    """Returns the error for a status that has no source."""
    sentence = f"The server of the source answered with HTTP status {status}."
    if status in TRANSIENT_STATUSES:
        return ConnectionLostError(sentence, f"HTTP {status}", pause=pause)
    return unreachable(sentence, f"HTTP {status}")


def fault_of(error: Exception) -> Exception:
    """Returns the error for an exception of aiohttp."""
    cause = f"{type(error).__name__}: {error}"
    if isinstance(getattr(error, "os_error", None), AddressRefusedError):
        return ConnectionLostError(_NO_SERVER, "the name of the host has an address that is not public")
    if isinstance(error, _BAD_CERTIFICATE):
        return unreachable("The certificate of the source's server is not valid.", cause)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectionLostError(_NO_SERVER, cause)
    if isinstance(error, asyncio.TimeoutError):
        return ConnectionLostError("The server of the source did not answer in time.", cause)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionLostError("The server of the source could not be reached.", cause)
    return ConnectionLostError("The connection to the source's server broke.", cause)
