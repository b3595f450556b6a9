"""Certificates of authorities that tests create: a server's in files that it reads again, and clients'."""

import asyncio
import datetime
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

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
    return x509.load_pem_x509_certificate(pem).serial_number


@dataclass(frozen=True)
class Identity:
    """The certificate of a client and its key, as PEM."""

    key: bytes
    certificate: bytes

    def credentials(self, authority: bytes) -> grpc.ChannelCredentials:
        """Credentials for a server of this authority."""
        return grpc.ssl_channel_credentials(authority, self.key, self.certificate)

    def load_into(self, context: ssl.SSLContext, folder: Path) -> None:
        """Adds the certificate to a context, by a file in the folder."""
        path = folder / "client.pem"
        path.write_bytes(self.key + self.certificate)
        context.load_cert_chain(path)


@dataclass(frozen=True)
class ClientAuthority:
    """An authority of clients; trustme's certificates have no URIs."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls) -> "ClientAuthority":
        key, name = ec.generate_private_key(ec.SECP256R1()), f"CA {x509.random_serial_number()}"
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        return cls(key, _signed(key.public_key(), name, key, _named(name), constraints))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, *names: x509.GeneralName, expired: bool = False) -> Identity:
        """A certificate of the names."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName(names)
        issuer = self.certificate.subject
        certificate = _signed(key.public_key(), "client", self.key, issuer, alternative, expired=expired)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity(private, certificate.public_bytes(Encoding.PEM))

    def issue_spiffe(self, *ids: str, expired: bool = False) -> Identity:
        """A certificate of SPIFFE ids, or of other URIs."""
        return self.issue(*map(x509.UniformResourceIdentifier, ids), expired=expired)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    key: ec.EllipticCurvePublicKey,
    name: str,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    extension: x509.ExtensionType,
    *,
    expired: bool = False,
) -> x509.Certificate:
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder(issuer, _named(name), key, x509.random_serial_number())
        .not_valid_before(now - 2 * hour)
        .not_valid_after(now - hour if expired else now + hour)
        .add_extension(extension, critical=False)
        .sign(signer, hashes.SHA256())
    )
