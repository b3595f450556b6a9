"""TLS to the API: the authority of its certificate, and the client's own certificate."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from gostream_client.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM, read when the client is opened. Without `ca_file`, the authorities that gRPC knows are
    trusted.

    `certificate` and `key` prove who the client is, to a server that requires it.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of a channel. Raises InvalidInputError if a file cannot be read."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidInputError("a client certificate and its key are needed together")
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file),
            private_key=_read(self.key),
            certificate_chain=_read(self.certificate),
        )


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
