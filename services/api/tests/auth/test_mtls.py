"""Client certificates: the SPIFFE id of a real TLS connection, and its grants."""

import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from grpc import aio

from gostream_api.auth.mtls import CertificateAuthenticator, Grant, load_grants
from gostream_api.principal import Kind
from gostream_api.rpc.interceptors.auth import AuthInterceptor, shows_certificate
from gostream_api.rpc.interceptors.base import Asked
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import SERVICE
from gostream_api.videos.watch import WatchService
from gostream_shared.domain.errors import MisconfiguredError, UnauthenticatedError

UPLOADER = "spiffe://example.org/ns/web/sa/uploader"
GRANTS = [
    Grant(id="spiffe://example.org/ns/web/", scopes=["videos:read"]),
    Grant(id="spiffe://example.org/ns/web/sa/admin", scopes=["videos:admin", "videos:read"]),
]


@dataclass
class Authority:
    """A certificate authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        return cls(key, _certificate(key, "CA", key, "CA", constraints))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, *names: x509.GeneralName) -> tuple[bytes, bytes]:
        """The private key and the certificate of the names, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key, "leaf", self.key, "CA", x509.SubjectAlternativeName(names))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, certificate.public_bytes(Encoding.PEM)


def _certificate(key: Any, name: str, signer: Any, issuer: str, extension: Any) -> x509.Certificate:
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer)]
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(named[1], named[0], key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(extension, critical=False)
        .sign(signer, hashes.SHA256())
    )


@pytest.fixture
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
async def port(authority: Authority) -> AsyncIterator[int]:
    """A TLS server whose GetVideo returns the caller's id."""

    async def whoami(request: Asked[bytes], context: object) -> bytes:
        return request.caller.id.encode()

    credentials = grpc.ssl_server_credentials(
        [authority.issue(x509.DNSName("localhost"))], authority.pem, require_client_auth=True
    )
    watches = WatchService(database=cast("Any", None), events=cast("Any", None))
    server = ApiServer(
        {name: grpc.unary_unary_rpc_method_handler(whoami) for name in ("GetVideo", "DeleteVideo")},
        watches,
        max_calls=9,
        max_streams=9,
        auth=AuthInterceptor(CertificateAuthenticator(GRANTS), shows_certificate),
        credentials=credentials,
    )
    yield await server.start("127.0.0.1", 0)
    await server.stop(delay=timedelta(0), grace=timedelta(0))


async def ask(authority: Authority, port: int, *names: x509.GeneralName, method: str = "GetVideo") -> bytes:
    key, certificate = authority.issue(*names)
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    async with aio.secure_channel(f"localhost:{port}", credentials) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
        reply: bytes = await call(b"", timeout=30)
        return reply


async def test_spiffe_id_names_the_caller(authority: Authority, port: int) -> None:
    reply = await ask(authority, port, x509.UniformResourceIdentifier(UPLOADER))

    assert reply.decode() == UPLOADER


@pytest.mark.parametrize(
    ("uri", "method", "code"),
    [
        (UPLOADER, "DeleteVideo", grpc.StatusCode.PERMISSION_DENIED),
        ("spiffe://example.org/ns/website/sa/x", "GetVideo", grpc.StatusCode.PERMISSION_DENIED),
        ("https://example.org/", "GetVideo", grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_certificates_without_grant_are_refused(
    authority: Authority, port: int, uri: str, method: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await ask(authority, port, x509.UniformResourceIdentifier(uri), method=method)

    assert refused.value.code() is code


async def test_stranger_has_no_connection(port: int) -> None:
    stranger = Authority.create()

    with pytest.raises(aio.AioRpcError) as refused:
        await ask(stranger, port, x509.UniformResourceIdentifier(UPLOADER))

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_longest_grant_decides() -> None:
    certificates = CertificateAuthenticator(GRANTS)

    principal = await certificates.later(b"spiffe://example.org/ns/web/sa/admin")

    assert (principal.kind, principal.scopes) == (Kind.SERVICE, frozenset(GRANTS[1].scopes))
    assert certificates.now(b"spiffe://example.org/ns/web/sa/admin") is principal
    certificates.replace([])
    assert certificates.now(b"spiffe://example.org/ns/web/sa/admin") is None
    with pytest.raises(UnauthenticatedError):
        await certificates.later(None)


def test_grants_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "grants.yaml"
    path.write_text("- id: spiffe://example.org/ns/web/\n  scopes: [videos:read]\n")
    assert load_grants(path) == GRANTS[:1]

    for text in ("7", "- id: https://example.org/\n  scopes: []", "- id: spiffe://a/b\n  scopes: [x]", "{"):
        path.write_text(text)
        with pytest.raises(MisconfiguredError, match="AUTH_MTLS_GRANTS_FILE"):
            load_grants(path)
