"""The certificate of a service's listeners, read again when its files change.

Files are compared at each handshake, so that a renewed certificate needs neither a restart nor a signal.
"""

import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from prometheus_client import Gauge

from gostream_shared.config import Config
from gostream_shared.domain.errors import MisconfiguredError

NOT_AFTER = Gauge(
    "gostream_tls_not_after_seconds", "Unix time at which the certificate in use expires; 0 without TLS."
)

_log = structlog.stdlib.get_logger("gostream.tls")


@dataclass(frozen=True, slots=True)
class _Pair:
    """The content of the files at one time."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    not_after: float


class ServerTls:
    """The certificate, the key and the authority of clients, as they were when the files were last valid.

    With `client_ca`, a client needs a certificate of that authority. Raises MisconfiguredError if the files
    are unusable at first; later, the last valid content stays in use.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = (certificate, key, client_ca)
        # gRPC asks in its own thread.
        self._lock = threading.Lock()
        self._failed: object = None
        self._loaded: object = None
        try:
            self._loaded, self._pair = self._read()
        except (OSError, ValueError) as error:
            raise MisconfiguredError(f"TLS_CERT_FILE, TLS_KEY_FILE: {_cause(error)}") from None
        NOT_AFTER.set(self._pair.not_after)

    @classmethod
    def of(cls, config: Config) -> "ServerTls | None":
        """Returns the TLS of a service, or None if it serves plaintext. Raises MisconfiguredError."""
        if config.tls_cert_file is None or config.tls_key_file is None:
            return None
        return cls(config.tls_cert_file, config.tls_key_file, config.tls_client_ca_file)

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials of a gRPC server."""
        given: _Pair = self._pair

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            pair = self._current()
            if pair is given:
                return None
            given = pair
            return _configuration(pair)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            fetch,  # type: ignore[arg-type]  # None leaves the configuration; the stubs do not know it
            require_client_authentication=given.client_ca is not None,
        )

    def context(self, protocols: Sequence[str] = ()) -> ssl.SSLContext:
        """Returns a context for other servers, with the names of their protocols (ALPN)."""
        given = self._pair
        served = outer = self._context(protocols)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: object, _context: object) -> None:
            nonlocal given, served
            pair = self._current()
            if pair is not given:
                try:
                    served = self._context(protocols)
                    given = pair
                except (
                    OSError,
                    ValueError,
                ) as error:  # replaced again in between: the next call reads it
                    _log.warning("certificate not used", cause=_cause(error))
            if served is not outer:
                connection.context = served

        # OpenSSL calls it for each handshake, also without a server name.
        outer.sni_callback = choose
        return outer

    def _current(self) -> _Pair:
        """Returns the content of the files, or the last valid one."""
        with self._lock:
            stamp = self._stamp()
            if stamp in (self._loaded, self._failed):
                return self._pair
            try:
                self._loaded, self._pair = self._read()
            except (OSError, ValueError) as error:
                self._failed = stamp
                _log.warning("certificate not used", cause=_cause(error))
                return self._pair
            self._failed = None
            NOT_AFTER.set(self._pair.not_after)
            _log.info("certificate loaded", not_after=self._pair.not_after)
            return self._pair

    def _read(self) -> tuple[object, _Pair]:
        """Raises OSError (ssl.SSLError is one) and ValueError."""
        certificate, key, client_ca = self._files
        stamp = self._stamp()
        self._context()
        pem = certificate.read_bytes()
        pair = _Pair(
            certificate=pem,
            key=key.read_bytes(),
            client_ca=client_ca.read_bytes() if client_ca else None,
            not_after=x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp(),
        )
        if stamp != self._stamp():
            raise ValueError("the files changed while they were read")
        return stamp, pair

    def _context(self, protocols: Sequence[str] = ()) -> ssl.SSLContext:
        certificate, key, client_ca = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_password)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
            # A resumed session is not verified again.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def _stamp(self) -> object:
        """Returns a value that differs after the files were written or replaced."""
        return tuple(_stamp_of(path) for path in self._files if path)


def _stamp_of(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino


def _configuration(pair: _Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.certificate)], root_certificates=pair.client_ca
    )


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the key must not be encrypted")


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no valid pair of certificate and key ({error.reason or error})"
    if isinstance(error, OSError):
        return f"cannot read {error.filename or 'the files'}: {error.strerror}"
    return str(error)
