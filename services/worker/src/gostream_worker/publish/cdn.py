"""Refreshes the copies that edges have of a master playlist, so that viewers see a new encode immediately."""

import asyncio
import socket
from typing import Protocol
from uuid import UUID

import aiohttp
import structlog
from yarl import URL

from gostream_shared.concurrency import task_group
from gostream_shared.domain.object_keys import master_key
from gostream_shared.observability.tracing import spans
from gostream_worker.metrics import EDGE_REFRESHES

_log = structlog.stdlib.get_logger("gostream.edge")

#: Seconds to find the edges, and then for their answers. A copy that is not refreshed expires later.
REFRESH_TIMEOUT = 3.0
#: Maximum number of edges that are refreshed.
MAX_EDGES = 256


class Edge(Protocol):
    """The cache in front of the object store."""

    async def refresh_master(self, video_id: UUID) -> None:
        """Makes the edge fetch the master playlist again. Best effort: never raises."""
        ...


class NoEdge:
    """Without a configured edge, copies expire after their max-age."""

    async def refresh_master(self, video_id: UUID) -> None:
        pass


class HttpEdge:
    """Requests the object from each edge with the header that bypasses its cache.

    The edges are all addresses of the URL's host: a headless Service of Kubernetes names one for each pod.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        self._session = session
        self._url = URL(url)
        self._headers = {"Host": self._url.authority, "X-Cache-Refresh": secret}

    async def refresh_master(self, video_id: UUID) -> None:
        target = self._url / master_key(video_id)
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT):
                addresses = await self._addresses()
        except (OSError, TimeoutError) as error:
            _note_failure(str(self._url.host), error)
            return
        async with task_group() as tasks:
            for address in addresses:
                tasks.create_task(self._refresh(target, address))

    async def _addresses(self) -> list[str]:
        """Returns the addresses of the edges. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._url.host, self._url.port, type=socket.SOCK_STREAM)
        addresses = sorted({str(info[4][0]) for info in found})
        if len(addresses) > MAX_EDGES:
            _log.warning("edges left out", known=len(addresses), refreshed=MAX_EDGES)
        return addresses[:MAX_EDGES]

    async def _refresh(self, target: URL, address: str) -> None:
        try:
            with spans.request("edge refresh", http__request__method="GET", server__address=address):
                answer = await self._ask(target, address)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _note_failure(address, error)
            return
        outcome = "ok" if answer.status == 200 else "refused"
        EDGE_REFRESHES.labels(outcome).inc()
        cache = answer.headers.get("X-Cache-Status", "")
        _log.info("edge refreshed", edge=address, status=answer.status, cache=cache)

    async def _ask(self, target: URL, address: str) -> aiohttp.ClientResponse:
        headers = self._headers
        if traceparent := spans.traceparent():
            headers = {**headers, "traceparent": traceparent}
        asked = self._session.get(target.with_host(address), headers=headers, server_hostname=self._url.host)
        async with asyncio.timeout(REFRESH_TIMEOUT), asked as answer:
            await answer.read()
        spans.annotate(http__response__status_code=answer.status)
        return answer


def _note_failure(edge: str, error: Exception) -> None:
    EDGE_REFRESHES.labels("failed").inc()
    _log.warning("edge not refreshed", edge=edge, error=str(error) or type(error).__name__)
