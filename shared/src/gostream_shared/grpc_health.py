"""What both services add to their gRPC servers: health, reflection and the listening address."""

from collections.abc import Sequence

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gostream_shared.config_types import join_address
from gostream_shared.listening import CannotListenError


class Health:
    """The health service of one server. It knows only the names that `report` was called with."""

    def __init__(self, server: aio.Server) -> None:
        self._servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def report(self, service: str = "", *, is_serving: bool) -> None:
        """Set the status of a service name. After `drain` the status stays NOT_SERVING."""
        statuses = health_pb2.HealthCheckResponse
        await self._servicer.set(service, statuses.SERVING if is_serving else statuses.NOT_SERVING)

    async def drain(self) -> None:
        """Report NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()


def reflect(server: aio.Server, services: Sequence[str] = ()) -> None:
    """Offer the descriptors of these services, of health and of reflection itself."""
    reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)


def bind(server: aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
    """Let a server listen there once it starts; with `credentials`, by TLS.

    Returns the port. Raises CannotListenError.
    """
    address = join_address(host, port)
    try:
        return (
            server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        )
    except RuntimeError:
        raise CannotListenError(host, port) from None
