"""Client certificates: the SPIFFE id of a real TLS connection, and its grants."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from cryptography import x509
from grpc import aio

from gostream_api.auth.authenticator import EitherAuthenticator, OpenDoor
from gostream_api.auth.mtls import CertificateAuthenticator, Grant, load_grants, spiffe_id_in
from gostream_api.principal import Kind
from gostream_api.rpc.interceptors.auth import AuthInterceptor, shows_certificate
from gostream_api.rpc.interceptors.base import Asked
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import SERVICE
from gostream_api.videos.watch import WatchService
from gostream_shared.domain.errors import MisconfiguredError, UnauthenticatedError
from tests.support.certificates import ClientAuthority

UPLOADER = "spiffe://example.org/ns/web/sa/uploader"
GRANTS = [
    Grant(id="spiffe://example.org/ns/web/", scopes=["videos:read"]),
    Grant(id="spiffe://example.org/ns/web/sa/admin", scopes=["videos:admin", "videos:read"]),
]


@pytest.fixture
def authority() -> ClientAuthority:
    return ClientAuthority.create()


@pytest.fixture
async def port(authority: ClientAuthority) -> AsyncIterator[int]:
    """A TLS server whose GetVideo returns the caller's id."""

    async def whoami(request: Asked[bytes], context: object) -> bytes:
        return request.caller.id.encode()

    server = authority.issue(x509.DNSName("localhost"))
    pair = (server.key, server.certificate)
    credentials = grpc.ssl_server_credentials([pair], authority.pem, require_client_auth=True)
    watches = WatchService(database=cast("Any", None), events=cast("Any", None))
    api = ApiServer(
        {name: grpc.unary_unary_rpc_method_handler(whoami) for name in ("GetVideo", "DeleteVideo")},
        watches,
        max_calls=9,
        max_streams=9,
        auth=AuthInterceptor(CertificateAuthenticator(GRANTS), shows_certificate),
        credentials=credentials,
    )
    yield await api.start("127.0.0.1", 0)
    await api.stop(delay=timedelta(0), grace=timedelta(0))


async def ask(
    authority: ClientAuthority, port: int, *names: x509.GeneralName, method: str = "GetVideo"
) -> bytes:
    credentials = authority.issue(*names).credentials(authority.pem)
    async with aio.secure_channel(f"localhost:{port}", credentials) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
        reply: bytes = await call(b"", timeout=30)
        return reply


async def test_spiffe_id_names_the_caller(authority: ClientAuthority, port: int) -> None:
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
    authority: ClientAuthority, port: int, uri: str, method: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await ask(authority, port, x509.UniformResourceIdentifier(uri), method=method)

    assert refused.value.code() is code


async def test_stranger_has_no_connection(port: int) -> None:
    stranger = ClientAuthority.create()

    with pytest.raises(aio.AioRpcError) as refused:
        await ask(stranger, port, x509.UniformResourceIdentifier(UPLOADER))

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_longest_grant_decides() -> None:
    certificates = CertificateAuthenticator(GRANTS)

    admin = b"spiffe://example.org/ns/web/sa/admin"
    principal = await certificates.later(None, admin)

    assert (principal.kind, principal.scopes) == (Kind.SERVICE, frozenset(GRANTS[1].scopes))
    assert certificates.now(None, admin) is principal
    certificates.replace([])
    assert certificates.now(None, admin) is None
    with pytest.raises(UnauthenticatedError):
        await certificates.later("Bearer token")


@pytest.mark.parametrize(
    "spiffe_id",
    [
        b"spiffe://example.org",
        b"spiffe://example.org/",
        b"spiffe:///ns/web",
        b"spiffe://example.org/ns/web/../admin",
        b"spiffe://example.org/ns/web/.",
        b"spiffe://example.org/ns//web",
        b"spiffe://example.org/ns/web/",
        b"spiffe://Example.org/ns/web",
        b"spiffe://user@example.org/ns/web",
        b"spiffe://example.org:443/ns/web",
        b"spiffe://example.org/ns/web?x",
        b"spiffe://example.org/ns/w%65b",
        b"spiffe://example.org/ns/web\n",
        b"spiffe://example.org/\xff",
        b"spiffe://example.org/" + b"x" * 128,
        b"https://example.org/ns/web",
        b"",
    ],
)
async def test_malformed_ids_are_nobody(spiffe_id: bytes) -> None:
    everything = Grant(id="spiffe://example.org/", scopes=["videos:read"])

    with pytest.raises(UnauthenticatedError):
        await CertificateAuthenticator([everything]).later(None, spiffe_id)


async def test_token_speaks_before_the_certificate() -> None:
    certificates = CertificateAuthenticator(GRANTS)
    either = EitherAuthenticator(OpenDoor(), certificates)
    granted, edge = UPLOADER.encode(), b"spiffe://example.org/ns/edge/sa/envoy"

    assert (await either.later("Bearer x", granted)).kind is Kind.ANONYMOUS  # who answers for tokens
    assert either.now("", granted) is not None  # an empty token is a token
    assert (await either.later(None, granted)).id == UPLOADER
    assert either.now(None, granted) == await certificates.later(None, granted)
    for _ in range(2):
        assert either.now(None, edge) is None
        with pytest.raises(UnauthenticatedError):
            await either.later(None, edge)


def test_one_uri_is_an_id() -> None:
    uri, other = ("URI", UPLOADER), ("URI", "https://example.org/")

    assert spiffe_id_in({"subjectAltName": (("DNS", "localhost"), uri)}) == UPLOADER.encode()
    for names in ((uri, uri), (uri, other), (other,), (("DNS", UPLOADER),), ()):
        assert spiffe_id_in({"subjectAltName": names}) is None
    assert spiffe_id_in({}) is None
    assert spiffe_id_in(None) is None


def test_grants_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "grants.yaml"
    path.write_text("- id: spiffe://example.org/ns/web/\n  scopes: [videos:read]\n")
    assert load_grants(path) == GRANTS[:1]

    for text in ("7", "- id: https://example.org/\n  scopes: []", "- id: spiffe://a/b\n  scopes: [x]", "{"):
        path.write_text(text)
        with pytest.raises(MisconfiguredError, match="AUTH_MTLS_GRANTS_FILE"):
            load_grants(path)
