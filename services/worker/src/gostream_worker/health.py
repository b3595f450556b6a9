"""The worker's gRPC server: health and reflection only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import structlog
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gostream_shared.config_types import join_address
from gostream_shared.listening import CannotListenError

#: Health service name. SERVING while WORK_DIR has space for one more encode.
ROOM_HEALTH = "gostream.worker.Room"

_log = structlog.stdlib.get_logger("gostream.health")


class HealthServer:
    """Reports NOT_SERVING until the worker can do its work, and again once it stops.

    A lost queue does not change it. ROOM_HEALTH has its own status.
    """

    def __init__(self, servicer: health.aio.HealthServicer) -> None:
        self._servicer = servicer

    @classmethod
    @asynccontextmanager
    async def listening(cls, host: str, port: int) -> AsyncIterator[Self]:
        """Listens until the block ends. Raises CannotListenError."""
        servicer = health.aio.HealthServicer()
        server = aio.server(options=(("grpc.so_reuseport", 0),))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        reflection.enable_server_reflection((health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        try:
            bound = server.add_insecure_port(join_address(host, port))
        except RuntimeError:
            raise CannotListenError(host, port) from None
        await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await server.start()
        _log.info("serving", host=host, port=bound)
        try:
            yield cls(servicer)
        finally:
            await server.stop(grace=1)

    async def report(self, service: str = "", *, is_serving: bool) -> None:
        """Sets the status of a service name. After `drain` the status stays NOT_SERVING."""
        statuses = health_pb2.HealthCheckResponse
        await self._servicer.set(service, statuses.SERVING if is_serving else statuses.NOT_SERVING)

    async def drain(self) -> None:
        """Reports NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()
