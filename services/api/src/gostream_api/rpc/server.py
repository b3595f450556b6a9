"""The gRPC server: options, interceptors, health, reflection, and a stop that loses no call."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import grpc
import structlog
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_api.rpc.interceptors.errors import ErrorInterceptor
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.local_hit import LocalHit, LocalHitInterceptor
from gostream_api.rpc.interceptors.telemetry import TelemetryInterceptor
from gostream_api.rpc.servicer import SERVICE
from gostream_api.videos.watch import WatchService
from gostream_shared.config_types import join_address
from gostream_shared.listening import CannotListenError

_UNLIMITED = 2**31 - 1

#: What every server of ours is given.
OPTIONS = (
    # Clients keep further calls of a connection to themselves until one of these has ended.
    ("grpc.max_concurrent_streams", 1024),
    # Refusals are the limiter's alone, which gives reasons. gRPC would count ended streams that are not freed
    # yet (REFUSED_STREAM), and refuse at random from 1000 calls that wait for the event loop (CANCELLED).
    ("grpc.http.overload_protection", 0),
    ("grpc.server.max_pending_requests", _UNLIMITED),
    ("grpc.server.max_pending_requests_hard_limit", _UNLIMITED),
    ("grpc.max_receive_message_length", 1024 * 1024),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),  # what clients accept unless told otherwise
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Connections end in time (± 10 %), so that clients find new replicas.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    # Dead clients are noticed. Live ones may ping every 4 s, to notice a frozen replica within 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 4_000),
)

#: A name that health answers for: SERVING while local entries are served, because the bus is heard.
#: Nothing is refused without it, so `""` and the service itself say nothing of it.
BUS_HEALTH = "gostream.cache.Bus"

#: The grace of the stop that only closes the door. grpc.aio's server is freed by whichever of two
#: overlapping stops ends first, and a grace that runs out in the other then reads freed memory:
#: so this one never runs out, and the deadline is ours.
_NO_HURRY = timedelta(days=1)

_log = structlog.stdlib.get_logger("gostream.server")


class ApiServer:
    """Serves one VideoService. Start it once, stop it once.

    `local_hits`, by the methods' full names: what is tried before a call is worked at.
    """

    def __init__(
        self,
        handlers: dict[str, Handler],
        watches: WatchService,
        *,
        max_calls: int,
        max_streams: int,
        max_streams_per_client: int | None = None,
        client_of: ClientOf = peer_address,
        reflects: bool = True,
        local_hits: Mapping[str, LocalHit] | None = None,
        share_port: bool = False,
    ) -> None:
        # Unless it was meant, a second server on the port must fail, not take half of the calls.
        options = (*OPTIONS, ("grpc.so_reuseport", int(share_port)))
        self.is_ready = True
        self._is_started = False
        self._watches = watches
        self._health = health.aio.HealthServicer()
        self._limiter = ConcurrencyLimiter(
            max_calls=max_calls,
            max_streams=max_streams,
            max_streams_per_client=max_streams_per_client,
            client_of=client_of,
        )
        self._server = aio.server(
            interceptors=[
                LocalHitInterceptor(local_hits or {}, self._limiter),
                TelemetryInterceptor(),
                ErrorInterceptor(),
                self._limiter,
            ],
            options=options,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflects:
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen, then report SERVING if ready; returns the port. Raises CannotListenError."""
        try:
            bound = self._server.add_insecure_port(join_address(host, port))
        except RuntimeError:
            raise CannotListenError(host, port) from None
        await self._report_ready(is_ready=False)
        await self._server.start()
        self._is_started = True
        await self._report_ready(is_ready=self.is_ready)
        _log.info("serving", host=host, port=bound)
        return bound

    async def stop(self, *, delay: timedelta, grace: timedelta) -> None:
        """Say NOT_SERVING, give clients `delay` to go elsewhere, then `grace` to calls still at work.

        gRPC's own stop cuts about one call per busy connection; after the delay there are none to cut.
        """
        _log.info("stopping", delay=delay.total_seconds(), grace=grace.total_seconds())
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(delay.total_seconds())
        self._watches.stop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.stop(_NO_HURRY.total_seconds()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._limiter.drained(), grace.total_seconds())
            # Clients that watch our health keep those streams open to the last.
            tasks.create_task(self._server.stop(None))
        _log.info("stopped")

    async def set_ready(self, *, is_ready: bool) -> None:
        """Whether calls can be answered, for health from the start on."""
        self.is_ready = is_ready
        if self._is_started:
            await self._report_ready(is_ready=is_ready)

    async def _report_ready(self, *, is_ready: bool) -> None:
        for service in ("", SERVICE):
            await self.report(service, is_serving=is_ready)

    async def report(self, service: str, *, is_serving: bool) -> None:
        """What health answers for that name from now on; once the stop has begun it stays NOT_SERVING."""
        statuses = health_pb2.HealthCheckResponse
        await self._health.set(service, statuses.SERVING if is_serving else statuses.NOT_SERVING)
