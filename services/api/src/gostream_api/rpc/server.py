"""The gRPC server: options, interceptors, health, reflection, and a graceful stop without lost calls."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import grpc
import structlog
from grpc import aio

from gostream_api.rates.writes import WriteRates
from gostream_api.rpc.grpc_framing import MAX_MESSAGE
from gostream_api.rpc.interceptors.auth import AuthInterceptor
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_api.rpc.interceptors.errors import ErrorInterceptor
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.local_hit import LocalHit, LocalHitInterceptor
from gostream_api.rpc.interceptors.rates import RateInterceptor
from gostream_api.rpc.interceptors.telemetry import TelemetryInterceptor
from gostream_api.rpc.servicer import SERVICE
from gostream_shared.grpc_health import Health, bind, reflect

_UNLIMITED = 2**31 - 1

#: The channel options of every server.
OPTIONS = (
    # Clients queue further calls of a connection until one of these ends.
    ("grpc.max_concurrent_streams", 1024),
    # Only the limiter refuses calls, because it gives reasons. gRPC also counts ended streams that are not
    # freed yet (REFUSED_STREAM), and refuses at random above 1000 calls that wait for the event loop
    # (CANCELLED).
    ("grpc.http.overload_protection", 0),
    ("grpc.server.max_pending_requests", _UNLIMITED),
    ("grpc.server.max_pending_requests_hard_limit", _UNLIMITED),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),  # the default limit of clients
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Connections have a maximum age (± 10 %), so that clients find new replicas.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    # Detects dead clients. Clients may ping every 4 s, to detect a frozen replica within 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 4_000),
)

#: A service name of the health check: SERVING while L1 entries are served, so while the bus is live.
#: Calls succeed without the bus, so the status of `""` and of the service does not depend on it.
BUS_HEALTH = "gostream.cache.Bus"

#: Grace of the first stop(), which only closes the listener. It must never expire: grpc.aio frees the server
#: when the first of two overlapping stops ends, and an expiring grace of the other reads freed memory. The
#: deadline is enforced here instead.
_NO_HURRY = timedelta(days=1)

_log = structlog.stdlib.get_logger("gostream.server")


class Door(Protocol):
    """A second listener of the same process."""

    async def start(self) -> int:
        """Listen. Returns the port. Raises CannotListenError."""
        ...

    async def stop(self, grace: timedelta) -> None:
        """Wait `grace` for running calls to end."""
        ...


class Streams(Protocol):
    """Open streams of the server."""

    def stop(self) -> None:
        """End every stream, now and later."""
        ...


class ApiServer:
    """Serves VideoService, and `more` services by their full names. Start it once, stop it once.

    `auth` finds the callers; without it all are ANONYMOUS. `local_hits` maps full method names to the L1
    lookups that run before all other interceptors. Without `rates`, owners may write at any rate. `doors`
    start and stop with the server; add them before the start. With `credentials`, the port speaks TLS.
    """

    def __init__(
        self,
        handlers: dict[str, Handler],
        *watches: Streams,
        max_calls: int,
        max_streams: int,
        max_streams_per_client: int | None = None,
        max_streams_per_principal: int | None = None,
        rates: WriteRates | None = None,
        client_of: ClientOf = peer_address,
        reflects: bool = True,
        auth: AuthInterceptor | None = None,
        credentials: grpc.ServerCredentials | None = None,
        local_hits: Mapping[str, LocalHit] | None = None,
        share_port: bool = False,
        more: Mapping[str, dict[str, Handler]] | None = None,
    ) -> None:
        # Unless the port is shared on purpose, a second server must fail instead of taking half of the calls.
        options = (*OPTIONS, ("grpc.so_reuseport", int(share_port)))
        self.is_ready = True
        self._is_started = False
        self.doors: list[Door] = []
        self._watches = watches
        self._credentials = credentials
        self.limiter = ConcurrencyLimiter(
            max_calls=max_calls,
            max_streams=max_streams,
            max_streams_per_client=max_streams_per_client,
            max_streams_per_principal=max_streams_per_principal,
            client_of=client_of,
        )
        self._server = aio.server(
            interceptors=[
                auth or AuthInterceptor.absent(),
                LocalHitInterceptor(local_hits or {}, self.limiter),
                *_inner(client_of, self.limiter, rates),
            ],
            options=options,
        )
        self._services = self._add({SERVICE: handlers, **(more or {})})
        self.health = Health(self._server)
        if reflects:
            reflect(self._server, list(self._services))

    def _add(self, services: Mapping[str, dict[str, Handler]]) -> Sequence[str]:
        """Serve the services. Returns their full names."""
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, served) for name, served in services.items())
        )
        return tuple(services)

    async def start(self, host: str, port: int) -> int:
        """Listen, then report SERVING if ready. Returns the port. Raises CannotListenError."""
        bound = bind(self._server, host, port, self._credentials)
        for door in self.doors:
            await door.start()
        await self._report_ready(is_ready=False)
        await self._server.start()
        self._is_started = True
        await self._report_ready(is_ready=self.is_ready)
        _log.info("serving", host=host, port=bound)
        return bound

    async def stop(self, *, delay: timedelta, grace: timedelta) -> None:
        """Report NOT_SERVING, wait `delay` for clients to leave, then `grace` for running calls to end.

        gRPC's own stop cuts about one call per busy connection; after the delay, no connection is busy.
        """
        _log.info("stopping", delay=delay.total_seconds(), grace=grace.total_seconds())
        await self.health.drain()
        await asyncio.sleep(delay.total_seconds())
        for each in self._watches:
            each.stop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.stop(_NO_HURRY.total_seconds()))
            stopping = [tasks.create_task(door.stop(grace)) for door in self.doors]
            with suppress(TimeoutError):
                await asyncio.wait_for(self.limiter.drained(), grace.total_seconds())
            if stopping:
                await asyncio.wait(stopping)
            # Clients that watch the health keep those streams open until the end.
            tasks.create_task(self._server.stop(None))
        _log.info("stopped")

    async def set_ready(self, *, is_ready: bool) -> None:
        """Set whether calls can be answered; the health check reports it once the server is started."""
        self.is_ready = is_ready
        if self._is_started:
            await self._report_ready(is_ready=is_ready)

    async def _report_ready(self, *, is_ready: bool) -> None:
        for service in ("", *self._services):
            await self.health.report(service, is_serving=is_ready)


def _inner(
    client_of: ClientOf, limiter: ConcurrencyLimiter, rates: WriteRates | None
) -> list[aio.ServerInterceptor]:
    """Returns the interceptors that an L1 hit does not reach, from outside to inside."""
    found = [TelemetryInterceptor(), ErrorInterceptor(client_of), limiter]
    return [*found, RateInterceptor(rates)] if rates else [*found]
