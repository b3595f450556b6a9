"""Certificates of an authority that tests create, in files that a server reads again."""

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import trustme

NAMES = ("localhost", "127.0.0.1")


@dataclass
class Files:
    """A certificate for NAMES and its key, in files of one folder."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = self.folder / "tls.crt", self.folder / "tls.key"
        self.ca = self.folder / "ca.crt"
        replace(self.ca, self.authority.cert_pem.bytes())
        self.renew()

    def renew(self) -> int:
        """Issues another certificate. Returns its serial number."""
        leaf = self.authority.issue_cert(*NAMES)
        replace(self.key, leaf.private_key_pem.bytes())
        replace(self.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return serial_of(leaf.cert_chain_pems[0].bytes())

    def environment(self) -> dict[str, str]:
        """The variables of a service that uses the files."""
        return {"TLS_CERT_FILE": str(self.certificate), "TLS_KEY_FILE": str(self.key)}

    def channel_credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authority.cert_pem.bytes())

    def client_context(self, *protocols: str) -> ssl.SSLContext:
        """A context that trusts the authority alone."""
        context = ssl.create_default_context(cadata=self.authority.cert_pem.bytes().decode())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    async def served(self, port: int, *protocols: str) -> int:
        """Returns the serial number of the certificate that a new connection gets."""
        context = self.client_context(*protocols)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        try:
            return int(peer_certificate(writer)["serialNumber"], 16)
        finally:
            writer.transport.abort()
            await writer.wait_closed()


def replace(path: Path, content: bytes) -> None:
    """Replaces a file atomically, as tools that renew certificates do."""
    new = path.with_name(f".{path.name}")
    new.write_bytes(content)
    new.rename(path)


def peer_certificate(writer: asyncio.StreamWriter) -> Any:
    return writer.get_extra_info("ssl_object").getpeercert()


def serial_of(pem: bytes) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem).serial_number
