"""What the two services of our own have in common: Python, configured by the environment, gRPC health."""

import os
import socket
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from gostream_devstack.host.directories import Directories
from gostream_devstack.servers.server import Server


class Service(Server):
    """One replica. It gets the caller's own environment, so `LOG_LEVEL=DEBUG` works, then `environment`."""

    drops_root: ClassVar[bool] = False
    restarts: ClassVar[bool] = True
    stop_timeout: ClassVar[float] = 30.0  # it drains first

    def __init__(
        self, directories: Directories, name: str, port: int, metrics_port: int, settings: Mapping[str, str]
    ) -> None:
        super().__init__(directories, name, port)
        self.metrics_port = metrics_port
        self.settings = settings

    @abstractmethod
    def addresses(self) -> Mapping[str, str]:
        """The variables that say where this replica listens."""

    @property
    def address(self) -> str:
        """host:port of its gRPC server."""
        return f"{self.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.metrics_port)

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads."""
        return f"http://{self.host}:{self.metrics_port}/metrics"

    def environment(self) -> Mapping[str, str]:
        # Here everybody notices within a second that a replica drains.
        defaults = {"SHUTDOWN_DELAY": "1s"}
        local = {"METRICS_HOST": self.host, "METRICS_PORT": str(self.metrics_port)}
        work = {"WORK_DIR": str(self.directory / "work"), "PYTHONUNBUFFERED": "1"}
        return {**defaults, **os.environ, **self.settings, **local, **work, **self.addresses()}

    def prepare(self) -> None:
        (self.directory / "work").mkdir(mode=0o700, exist_ok=True)

    def ready(self) -> bool:
        """Listening and SERVING, as grpc.health.v1 has it."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False  # importing gRPC can wait until there is somebody to talk to
        return is_serving(self.address)


def is_serving(address: str, service: str = "", timeout: float = 2.0) -> bool:
    """Ask grpc.health.v1 once."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    # A channel of its own each time: a shared one would wait out the back-off of earlier failures.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            reply = check(HealthCheckRequest(service=service), timeout=timeout)
        except grpc.RpcError:
            return False
    return bool(reply.status == HealthCheckResponse.SERVING)


def python(module: str) -> Sequence[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module]
