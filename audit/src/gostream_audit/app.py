"""`gostream-audit`: checks that every replica returns the committed versions. The composition root."""

import asyncio
import functools
from datetime import timedelta

import grpc
from pydantic import Field, SecretStr, field_validator

from gostream_audit.auditor import Auditor
from gostream_audit.change_feed import change_feed
from gostream_audit.replicas import Replicas
from gostream_shared.config import Config
from gostream_shared.config_types import Duration, ListenPort, ReadableFile, Secret, parse_host
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import BackendUnavailableError, GoStreamError
from gostream_shared.lifecycle import run_configured, service_parser, stop_signal
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.tls import ServerTls

NAME = "gostream-audit"
SUMMARY = (
    "Follows every committed change of a video, reads it from each replica of the API, and counts the "
    "replicas that still return an older version than the database."
)


class AuditConfig(Config):
    """The variables of the audit."""

    gostream_api_addr: str = Field(
        "localhost:50051",
        description="comma-separated replicas, host:port; a name means all of its addresses",
    )
    gostream_ca_file: ReadableFile | None = Field(
        None, description="authority of the API's certificate; set = TLS"
    )
    gostream_client_cert: ReadableFile | None = Field(None, description="certificate for the API, with TLS")
    gostream_client_key: ReadableFile | None = Field(None, description="key of GOSTREAM_CLIENT_CERT")
    gostream_token: Secret = Field(
        SecretStr(""), description="token with videos:read and videos:admin, if the API requires tokens"
    )
    audit_tolerance: Duration = Field(
        timedelta(seconds=3),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="time after the commit after which an older version is an inconsistency",
    )
    metrics_port: ListenPort = Field(9104, description="port of the Prometheus endpoint; 0 = a free one")

    @field_validator("gostream_api_addr")
    @classmethod
    def _addresses(cls, text: str) -> str:
        for name in text.split(","):
            host, _, port = name.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
                raise ValueError("must be host:port, or several separated by commas")
            parse_host(host)
        return text

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns the credentials for the API, or None for plaintext."""
        if self.gostream_ca_file is None:
            return None
        pair = (self.gostream_client_key, self.gostream_client_cert)
        key, certificate = (path.read_bytes() if path else None for path in pair)
        return grpc.ssl_channel_credentials(self.gostream_ca_file.read_bytes(), key, certificate)

    @property
    def names(self) -> list[str]:
        return [name.strip() for name in self.gostream_api_addr.split(",")]


class InconsistentError(GoStreamError):
    """A replica returned an old version for too long."""


async def audit(config: AuditConfig, *, once: int | None = None) -> None:
    """Audit until SIGTERM or SIGINT, or until `once` changes were followed.

    Raises InconsistentError at the end of a limited audit if an inconsistency was found.
    """
    address = DatabaseAddress.of(config)
    async with (
        stop_signal() as stop,
        PostgresDatabase.open(address, max_size=4) as database,
        Replicas.open(
            config.names, config.gostream_token.get_secret_value(), config.credentials()
        ) as replicas,
    ):
        auditor = Auditor(
            lambda: replicas.current, database.videos, tolerance=config.audit_tolerance.total_seconds()
        )
        tls = ServerTls.of(config)
        async with serve_metrics(
            config.metrics_host, config.metrics_port, tls=tls.context() if tls else None
        ):
            try:
                async with change_feed(address.direct_url) as changes:
                    running = asyncio.create_task(auditor.run(changes, at_most=once), name="audit")
                    await _until_either(running, stop)
            except TimeoutError:
                raise BackendUnavailableError("database") from None
    if once is not None and auditor.inconsistent:
        raise InconsistentError(f"replicas returned an old version {auditor.inconsistent} times")


async def _until_either(running: asyncio.Task[None], stop: asyncio.Event) -> None:
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not running.done():
            running.cancel()
    await asyncio.gather(running, stopped, return_exceptions=True)
    if running.done() and not running.cancelled():
        running.result()


def main() -> None:
    parser = service_parser(NAME, SUMMARY, AuditConfig)
    parser.add_argument(
        "--once",
        type=int,
        metavar="N",
        help="follow N changes, then exit with 0 if all replicas are consistent, else 1",
    )
    once = parser.parse_args().once
    run_configured(NAME, AuditConfig, functools.partial(audit, once=once))


if __name__ == "__main__":
    main()
