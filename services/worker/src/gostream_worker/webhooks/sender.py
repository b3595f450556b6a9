"""Sends one delivery. The egress guard checks the URL and every address before a connection to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

import aiohttp

from gostream_shared.domain.companions.webhooks import Answer, Try
from gostream_shared.egress.guard import EgressGuard, UrlRefusedError
from gostream_worker.webhooks.schedule import pause_after
from gostream_worker.webhooks.signature import signed_headers

#: Seconds for one try, name resolution included.
TIMEOUT = 15.0
_GONE = 410
_HEADERS = {"Content-Type": "application/json", "User-Agent": "GoStream", "Accept-Encoding": "identity"}


class Sender:
    """Sends deliveries over connections that the guard admits, without redirects and cookies."""

    def __init__(
        self, session: aiohttp.ClientSession, guard: EgressGuard, *, timeout: float = TIMEOUT
    ) -> None:
        self._session = session
        self._guard = guard
        self._timeout = timeout

    @classmethod
    @asynccontextmanager
    async def open(cls, guard: EgressGuard, *, timeout: float = TIMEOUT) -> AsyncIterator["Sender"]:
        connector = aiohttp.TCPConnector(
            socket_factory=guard.open_socket, limit=0, force_close=True, use_dns_cache=False
        )
        async with aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
        ) as session:
            yield cls(session, guard, timeout=timeout)

    async def send(self, one: Try) -> Answer:
        """Returns how the try has ended. The answer of the receiver is read up to its headers."""
        began, status, error = monotonic(), 0, ""
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(one)
        except TimeoutError:
            error = f"no answer within {self._timeout:g} s"
        except UrlRefusedError as refusal:
            error = f"the URL {refusal}"
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = _reason(failure)
        if status and not 200 <= status < 300:
            error = "a redirect is not followed" if 300 <= status < 400 else f"the receiver answered {status}"
        is_gone = status == _GONE
        return Answer(
            http_status=status,
            error=error,
            took=timedelta(seconds=monotonic() - began),
            retry_in=None if is_gone or not error else pause_after(one.attempt),
            is_gone=is_gone,
        )

    async def _post(self, one: Try) -> int:
        url = self._guard.check_url(one.url)
        headers = signed_headers(str(one.event_id), one.body, one.secrets, now=datetime.now(UTC))
        async with self._session.post(url, data=one.body, headers=headers, allow_redirects=False) as answer:
            return answer.status


def _reason(failure: Exception) -> str:
    """Returns why there is no answer, in words of our own: owners read it.

    An internal host looks like none, or owners could list the hosts of the internal network.
    """
    if isinstance(failure, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "TLS failed"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return "the host cannot be reached"
    return "the connection was lost, or the answer was not HTTP"
