"""The listener of AdminService: a gRPC server of its own, so that no other port answers it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import grpc
import structlog
from grpc import aio

from gostream_api.rpc.interceptors.auth import AuthInterceptor
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.interceptors.errors import ErrorInterceptor
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.telemetry import TelemetryInterceptor
from gostream_api.rpc.server import OPTIONS
from gostream_api.rpc.servicer import SERVICE
from gostream_shared.grpc_health import Health, bind, reflect

#: Explanations that run at the same time: each asks every backend.
_AT_ONCE = 8

_log = structlog.stdlib.get_logger("gostream.admin")


class AdminDoor:
    """Serves `services` on one port. Start it once, stop it once. With `credentials`, by TLS."""

    def __init__(
        self,
        services: Mapping[str, dict[str, Handler]],
        *,
        host: str,
        port: int,
        auth: AuthInterceptor,
        client_of: ClientOf,
        credentials: grpc.ServerCredentials | None = None,
        reflects: bool = True,
        share_port: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self._credentials = credentials
        self._limiter = ConcurrencyLimiter(max_calls=_AT_ONCE, max_streams=_AT_ONCE, client_of=client_of)
        self._server = aio.server(
            interceptors=[auth, TelemetryInterceptor(), ErrorInterceptor(client_of), self._limiter],
            options=(*OPTIONS, ("grpc.so_reuseport", int(share_port))),
        )
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, served) for name, served in services.items())
        )
        self._health = Health(self._server)
        if reflects:
            reflect(self._server, list(services))

    async def start(self) -> int:
        """Listen. Returns the port. Raises CannotListenError."""
        bound = bind(self._server, self._host, self._port, self._credentials)
        for name in ("", SERVICE):  # the client's channels watch the second one
            await self._health.report(name, is_serving=True)
        await self._server.start()
        _log.info("serving operators", host=self._host, port=bound)
        return bound

    async def stop(self, grace: timedelta) -> None:
        """Wait `grace` for running calls to end."""
        await self._health.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._limiter.drained(), grace.total_seconds())
        await self._server.stop(None)
