"""Refreshes the edge's copy of a master playlist, so that viewers see a new encode immediately."""

import asyncio
from typing import Protocol
from uuid import UUID

import aiohttp
import structlog

from gostream_shared.domain.object_keys import master_key
from gostream_worker.metrics import EDGE_REFRESHES

_log = structlog.stdlib.get_logger("gostream.edge")

#: Seconds that publishing waits at most. Otherwise the edge's copy expires later.
REFRESH_TIMEOUT = 3.0


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
    """Requests the object from the edge with the header that bypasses its cache."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"X-Cache-Refresh": secret}

    async def refresh_master(self, video_id: UUID) -> None:
        try:
            async with (
                asyncio.timeout(REFRESH_TIMEOUT),
                self._session.get(f"{self._url}/{master_key(video_id)}", headers=self._headers) as answer,
            ):
                await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            EDGE_REFRESHES.labels("failed").inc()
            _log.warning("edge not refreshed", error=str(error) or type(error).__name__)
            return
        outcome = "ok" if answer.status == 200 else "refused"
        EDGE_REFRESHES.labels(outcome).inc()
        _log.info("edge refreshed", status=answer.status, cache=answer.headers.get("X-Cache-Status", ""))
