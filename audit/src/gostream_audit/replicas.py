"""Connections to every replica of the API, without a load balancer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import grpc
import structlog
from grpc import StatusCode, aio

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_audit.metrics import UNANSWERED

_log = structlog.get_logger(__name__)

#: Deadline of a read in seconds.
ASK_TIMEOUT = 2.0
#: Seconds between two resolutions of the names.
RESOLVE_INTERVAL = 15.0
_OPTIONS = (("grpc.enable_http_proxy", 0),)


class Replica:
    """One process of the API."""

    def __init__(
        self,
        address: str,
        token: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        host: str = "",
    ) -> None:
        """With `credentials`, the replica's certificate must be for `host`."""
        self.address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if credentials is None:
            self._channel = aio.insecure_channel(address, options=_OPTIONS)
        else:
            named = (*_OPTIONS, ("grpc.ssl_target_name_override", host))
            self._channel = aio.secure_channel(address, credentials, options=named)
        self._stub: Any = VideoServiceStub(self._channel)

    async def version_of(self, video_id: UUID) -> int | None:
        """Returns the replica's version of a video; None if the replica has no such video.

        Raises NoAnswerError.
        """
        try:
            request = GetVideoRequest(id=str(video_id))
            video = await self._stub.GetVideo(request, timeout=ASK_TIMEOUT, metadata=self._metadata)
        except aio.AioRpcError as error:
            if error.code() is StatusCode.NOT_FOUND:
                return None
            UNANSWERED.labels(self.address).inc()
            raise NoAnswerError(self.address) from error
        return int(video.version)

    async def close(self) -> None:
        await self._channel.close()


class NoAnswerError(Exception):
    """A replica did not answer; this does not count as an inconsistency."""


class Replicas:
    """The current replicas: all addresses of the given `host:port` names. Reads carry the token."""

    def __init__(
        self, names: Iterable[str], token: str = "", credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._names = tuple(names)
        self._token = token
        self._credentials = credentials
        self._replicas: dict[str, Replica] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, names: Iterable[str], token: str = "", credentials: grpc.ChannelCredentials | None = None
    ) -> AsyncIterator[Self]:
        """Resolve the names now, and periodically until the block ends. With `credentials`, use TLS."""
        replicas = cls(names, token, credentials)
        await replicas.resolve()
        resolving = asyncio.create_task(replicas._keep_resolving(), name="resolve-replicas")
        try:
            yield replicas
        finally:
            resolving.cancel()
            await asyncio.gather(resolving, return_exceptions=True)
            await asyncio.gather(*(replica.close() for replica in replicas._replicas.values()))

    @property
    def current(self) -> Mapping[str, Replica]:
        """The replicas by address."""
        return dict(self._replicas)

    async def resolve(self) -> None:
        """Resolve the names, connect to new addresses, and close the connections to removed ones."""
        try:
            found = {address: name for name in self._names for address in await _addresses(name)}
        except OSError as error:
            _log.warning("names of replicas cannot be resolved", error=str(error))
            return
        for address, name in found.items():
            if address not in self._replicas:
                host = name.rpartition(":")[0].strip("[]")
                self._replicas[address] = Replica(address, self._token, self._credentials, host)
        for address in self._replicas.keys() - found.keys():
            await self._replicas.pop(address).close()

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_INTERVAL)
            await self.resolve()


async def _addresses(name: str) -> list[str]:
    host, _, port = name.rpartition(":")
    async with asyncio.timeout(5):
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    # A name with addresses of both families is often one server: use IPv4 if it has any.
    families = sorted({family for family, *_ in found}, key=lambda family: family != socket.AF_INET)
    hosts = {str(address[0]) for family, *_, address in found if family == families[0]}
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in sorted(hosts)]
