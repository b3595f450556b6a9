"""The worker's own small gRPC server: health and reflection, nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import structlog
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gostream_shared.domain.errors import GoStreamError

_log = structlog.stdlib.get_logger("gostream.health")


class CannotListenError(GoStreamError):
    """The address is taken, or not ours."""


class HealthServer:
    """Says whether this worker has started and is not stopping; a lost queue is no reason to end it."""

    def __init__(self, servicer: health.aio.HealthServicer) -> None:
        self._servicer = servicer

    @classmethod
    @asynccontextmanager
    async def listening(cls, host: str, port: int) -> AsyncIterator[Self]:
        """Listen and report SERVING until the block is left. Raises CannotListenError."""
        servicer = health.aio.HealthServicer()
        server = aio.server(options=(("grpc.so_reuseport", 0),))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        reflection.enable_server_reflection((health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        try:
            bound = server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            raise CannotListenError(f"cannot listen on {host}:{port}: is something else there?") from None
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        await server.start()
        _log.info("serving", host=host, port=bound)
        try:
            yield cls(servicer)
        finally:
            await server.stop(grace=1)

    async def drain(self) -> None:
        """Report NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()
