"""The common part of both services: Python, configured by the environment, gRPC health."""

import os
import socket
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from gostream_devstack.host.directories import Account, Directories
from gostream_devstack.host.interpreter import account_of_services
from gostream_devstack.servers.server import Server


class Service(Server):
    """One replica. It inherits the caller's environment (such as `LOG_LEVEL=DEBUG`), then `environment`."""

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
        """The variables with this replica's listening addresses."""

    @property
    def address(self) -> str:
        """host:port of its gRPC server."""
        return f"{self.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.metrics_port)

    @property
    def account(self) -> Account | None:
        """The servers' account if it can run this interpreter."""
        return account_of_services(self.directories)

    @property
    def metrics_url(self) -> str:
        """The URL for Prometheus."""
        scheme = "https" if self.settings.get("TLS_CERT_FILE") else "http"
        return f"{scheme}://{self.host}:{self.metrics_port}/metrics"

    def environment(self) -> Mapping[str, str]:
        # All clients here notice a draining replica within a second.
        defaults = {"SHUTDOWN_DELAY": "1s"}
        local = {"METRICS_HOST": self.host, "METRICS_PORT": str(self.metrics_port)}
        work = {"WORK_DIR": str(self.directory / "work"), "PYTHONUNBUFFERED": "1"}
        directories = home_of(self)
        return {**defaults, **os.environ, **directories, **self.settings, **local, **work, **self.addresses()}

    def prepare(self) -> None:
        work = self.directory / "work"
        work.mkdir(mode=0o700, exist_ok=True)
        self.directories.give_all(work, self.account)

    def ready(self) -> bool:
        """Returns whether it listens and reports SERVING by grpc.health.v1."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False  # avoid importing gRPC before the port is open
        return is_serving(self.address, authority=self.settings.get("SSL_CERT_FILE", ""))


def is_serving(address: str, service: str = "", timeout: float = 2.0, authority: str = "") -> bool:
    """Queries grpc.health.v1 once, by TLS if a file with the server's authority is given."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    # A separate channel each time: a shared one would wait for the back-off of earlier failures.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    trust = grpc.ssl_channel_credentials(Path(authority).read_bytes()) if authority else None
    with (
        grpc.secure_channel(address, trust, options) if trust else grpc.insecure_channel(address, options)
    ) as channel:
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


def home_of(server: Server) -> Mapping[str, str]:
    """Returns a HOME that the server's account may enter, if that account is set."""
    return {"HOME": str(server.directory)} if server.account else {}


def python(module: str) -> Sequence[str]:
    """Returns the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module]
