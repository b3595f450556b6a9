"""The worker's gRPC server: health and reflection only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc import aio

from gostream_shared.grpc_health import Health, bind, reflect

#: Health service name. SERVING while WORK_DIR has space for one more encode.
ROOM_HEALTH = "gostream.worker.Room"

_log = structlog.stdlib.get_logger("gostream.health")


@asynccontextmanager
async def health_server(
    host: str, port: int, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[Health]:
    """Listens until the block ends, and reports NOT_SERVING at first. Raises CannotListenError.

    Report SERVING once the worker can do its work, and drain it when the worker stops; a lost queue does not
    change it. ROOM_HEALTH has its own status.
    """
    server = aio.server(options=(("grpc.so_reuseport", 0),))
    health = Health(server)
    reflect(server)
    bound = bind(server, host, port, credentials)
    await health.report(is_serving=False)
    await server.start()
    _log.info("serving", host=host, port=bound)
    try:
        yield health
    finally:
        await server.stop(grace=1)
