"""Callers with client certificates: the cross-tenant matrix of mtls and jwt+mtls, and rotation under load."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from cryptography import x509
from grpc import aio

from gostream.v1 import video_service_pb2 as messages
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.envoy import Envoy
from gostream_devstack.tls.certificates import Certificates
from tests.support.certificates import ClientAuthority, Files, Identity, replace
from tests.trust.conftest import Api, Door, Metadata, StartApi, bearer, caller, outcome
from tests.trust.edge_doors import EdgeDoor, as_json
from tests.trust.tokens import signed

DOORS = ("grpc.aio", "read door", "read door JSON")
READS = frozenset({"GetVideo", "BatchGetVideos"})
ALICE, BOB, ADMIN, WRITER, ACTOR, EDGE = (
    f"spiffe://example.org/ns/web/sa/{name}" for name in ("alice", "bob", "admin", "writer", "actor", "edge")
)
GRANTS = """
- {id: spiffe://example.org/ns/web/, scopes: [videos:read]}
- {id: spiffe://example.org/ns/web/sa/admin, scopes: [videos:read, videos:write, videos:admin]}
- {id: spiffe://example.org/ns/web/sa/writer, scopes: [videos:write]}
- {id: spiffe://example.org/ns/web/sa/actor, scopes: [videos:read, videos:act-as]}
- {id: spiffe://example.org/ns/web/sa/edge, scopes: []}
"""
OK, ABSENT = "OK", "NOT_FOUND VIDEO_NOT_FOUND"
DENIED, NOBODY = "PERMISSION_DENIED SCOPE_MISSING", "UNAUTHENTICATED TOKEN_INVALID"
#: Alice's video, Bob's, and one that does not exist.
OWN, ALL, NONE, REFUSED = (OK, ABSENT, ABSENT), (OK, OK, ABSENT), (DENIED,) * 3, (NOBODY,) * 3
FOR_ALICE = (("x-gostream-subject", ALICE),)


@dataclass
class Place:
    """An API with TLS, and those who call it."""

    api: Api
    server: Files
    clients: ClientAuthority
    folder: Path

    @asynccontextmanager
    async def door(self, name: str, identity: Identity | None) -> AsyncIterator[Door | EdgeDoor]:
        """A door with new connections of the client."""
        port = self.api.port if name == "grpc.aio" else self.api.read_port
        authority = self.server.authority.cert_pem.bytes()
        if name.endswith("JSON"):
            context = self.server.client_context("http/1.1")
            if identity:
                identity.load_into(context, self.folder)
            connector, timeout = aiohttp.TCPConnector(ssl=context), aiohttp.ClientTimeout(total=60)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                yield EdgeDoor(session, f"https://localhost:{port}", as_json, READS)
            return
        credentials = identity.credentials(authority) if identity else self.server.channel_credentials()
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with aio.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
            yield Door(channel, VideoServiceStub(channel), READS if name != "grpc.aio" else frozenset())

    async def create(self, owner: str) -> str:
        """A new video in L1."""
        async with self.door("grpc.aio", self.clients.issue_spiffe(ADMIN)) as door:
            assert isinstance(door, Door)
            request = messages.CreateVideoRequest(title="Holiday", size_bytes=4, user_id=owner)
            video_id: str = (await door.stub.CreateVideo(request, timeout=60)).video.id
            layer = ""
            while layer != "L1":
                call = door.stub.GetVideo(messages.GetVideoRequest(id=video_id), timeout=60)
                await call
                layer = dict(await call.trailing_metadata())["x-cache"]
        return video_id


StartPlace = Callable[[str], Awaitable[Place]]


@pytest.fixture
def start(start_api: StartApi, tmp_path: Path) -> StartPlace:
    """A function that starts an API in a mode with certificates."""
    server, clients = Files(tmp_path / "server"), ClientAuthority.create()
    ca, grants = tmp_path / "clients.crt", tmp_path / "grants.yaml"
    ca.write_bytes(clients.pem)
    grants.write_text(GRANTS)

    async def begin(mode: str) -> Place:
        files = {"TLS_CLIENT_CA_FILE": str(ca), "AUTH_MTLS_GRANTS_FILE": str(grants)}
        api = await start_api(AUTH_MODE=mode, **server.environment(), **files)
        return Place(api, server, clients, tmp_path)

    return begin


@pytest.fixture
async def place(start: StartPlace) -> Place:
    return await start("mtls")


@pytest.fixture
async def both(start: StartPlace) -> Place:
    return await start("jwt+mtls")


async def answers(door: Door | EdgeDoor, videos: tuple[str, ...], metadata: Metadata = ()) -> tuple[str, ...]:
    """The answers to GetVideo of each video, twice: the later ones take short paths."""
    found: tuple[str, ...] = ()
    for _ in range(2):
        requests = [messages.GetVideoRequest(id=video_id) for video_id in videos]
        found = tuple([str(await outcome(door.call("GetVideo", each, metadata))) for each in requests])
    return found


def callers(clients: ClientAuthority) -> Mapping[str, tuple[Identity, Metadata, tuple[str, ...]]]:
    """Each caller's certificate and metadata, and the answers for Alice's, Bob's and an absent video."""
    uri = x509.UniformResourceIdentifier
    return {
        "owner": (clients.issue_spiffe(ALICE), (), OWN),
        "owner with a host": (clients.issue(x509.DNSName("localhost"), uri(ALICE)), (), OWN),
        "owner with a wrong token": (clients.issue_spiffe(ALICE), bearer("garbage"), OWN),
        "admin": (clients.issue_spiffe(ADMIN), (), ALL),
        "service for alice": (clients.issue_spiffe(ACTOR), FOR_ALICE, OWN),
        "reader for alice": (clients.issue_spiffe(BOB), FOR_ALICE, NONE),
        "writer": (clients.issue_spiffe(WRITER), (), NONE),
        "without a scope": (clients.issue_spiffe(EDGE), (), NONE),
        "without a grant": (clients.issue_spiffe("spiffe://example.org/ns/website"), (), NONE),
        "another domain": (clients.issue_spiffe("spiffe://example.com/ns/web/sa/alice"), (), NONE),
        "two ids": (clients.issue_spiffe(ALICE, BOB), (), REFUSED),
        "the same id twice": (clients.issue_spiffe(ALICE, ALICE), (), REFUSED),
        "an id and a page": (clients.issue_spiffe(ALICE, "https://example.org/"), (), REFUSED),
        "an id in a host": (clients.issue(x509.DNSName(ALICE)), (), REFUSED),
        "no id": (clients.issue(x509.DNSName("localhost")), (), REFUSED),
        "a page": (clients.issue_spiffe("https://example.org/ns/web/sa/alice"), (), REFUSED),
        "a domain alone": (clients.issue_spiffe("spiffe://example.org"), (), REFUSED),
        "a dotted path": (clients.issue_spiffe("spiffe://example.org/ns/web/x/../sa/admin"), (), REFUSED),
    }


@pytest.mark.parametrize("name", DOORS)
async def test_certificates_reach_their_own_videos_only(place: Place, name: str) -> None:
    videos = (await place.create(ALICE), await place.create(BOB), str(uuid4()))
    wrong = {}
    for who, (identity, metadata, expected) in callers(place.clients).items():
        async with place.door(name, identity) as door:
            found = await answers(door, videos, metadata)
        if found != expected:
            wrong[who] = found
    assert wrong == {}


@pytest.mark.parametrize("name", DOORS)
async def test_strangers_have_no_connection(place: Place, name: str) -> None:
    leaf = place.server.authority.issue_cert("client")
    strangers = {
        "no certificate": None,
        "another authority": ClientAuthority.create().issue_spiffe(ALICE),
        "the server's authority": Identity(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()),
        "expired": place.clients.issue_spiffe(ALICE, expired=True),
    }
    for who, identity in strangers.items():
        assert not await is_connected(place, name, identity), who


async def is_connected(place: Place, name: str, identity: Identity | None, metadata: Metadata = ()) -> bool:
    """Whether a new connection of the client gets any answer to a call."""
    request = messages.GetVideoRequest(id=str(uuid4()))
    async with place.door(name, identity) as door:
        try:
            return (await outcome(door.call("GetVideo", request, metadata))).code != "UNAVAILABLE"
        except (aiohttp.ClientError, ssl.SSLError):
            return False


@pytest.mark.parametrize("name", DOORS)
async def test_tokens_speak_before_certificates(both: Place, name: str) -> None:
    alice, owner = "corp:alice", both.clients.issue_spiffe(ALICE)
    videos = (await both.create(alice), await both.create(ALICE), str(uuid4()))
    edge, token = both.clients.issue(x509.DNSName("envoy")), caller("alice", "read")
    expired = bearer(signed(exp=1))
    cases: dict[str, tuple[Identity | None, Metadata, tuple[str, ...]]] = {
        "both": (owner, token, (OK, ABSENT, ABSENT)),
        "a certificate": (owner, (), (ABSENT, OK, ABSENT)),
        "a token by an edge": (edge, token, (OK, ABSENT, ABSENT)),
        "nothing by an edge": (edge, (), REFUSED),
        "nothing by an edge with an id": (both.clients.issue_spiffe(EDGE), (), REFUSED),
        "an expired token": (owner, expired, REFUSED),
        "garbage": (owner, bearer("garbage"), REFUSED),
        "two tokens": (owner, token + token, REFUSED),
        "an empty token": (owner, (("authorization", ""),), REFUSED),
        "a token of another scheme": (owner, (("authorization", "Basic YWxpY2U="),), REFUSED),
        "a scope of the certificate": (owner, caller("alice", "write"), NONE),
        "a subject of the certificate": (both.clients.issue_spiffe(ACTOR), FOR_ALICE, (ABSENT, OK, ABSENT)),
        "a subject of the token": (both.clients.issue_spiffe(ACTOR), token + FOR_ALICE, NONE),
    }
    wrong = {}
    for who, (identity, metadata, expected) in cases.items():
        async with both.door(name, identity) as door:
            found = await answers(door, videos, metadata)
        if found != expected:
            wrong[who] = found
    assert wrong == {}


@pytest.mark.parametrize("name", DOORS)
async def test_token_needs_a_certificate_too(both: Place, name: str) -> None:
    token = caller("root", "read", "admin")

    assert not await is_connected(both, name, None, token)
    assert await is_connected(both, name, both.clients.issue_spiffe(EDGE), token)


async def test_changed_grants_hold_without_a_restart(place: Place) -> None:
    video_id = await place.create(WRITER)
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(place.door(name, place.clients.issue_spiffe(WRITER)))
            for name in DOORS
        ]
        request = messages.GetVideoRequest(id=video_id)
        for door in doors:
            assert str(await outcome(door.call("GetVideo", request, ()))) == DENIED
        replace(place.folder / "grants.yaml", f"- {{id: {WRITER}, scopes: [videos:read]}}".encode())
        for door in doors:
            while str(await outcome(door.call("GetVideo", request, ()))) != OK:
                await asyncio.sleep(0.05)


@dataclass
class Load:
    """Calls all the time through one door, with a new connection every few calls."""

    place: Place
    name: str
    video_id: str
    identity: Identity
    calls: int = 0
    connections: int = 0

    async def run(self) -> None:
        request, token = messages.GetVideoRequest(id=self.video_id), caller("root", "read", "admin")
        while True:
            async with self.place.door(self.name, self.identity) as door:
                for metadata in ((), token) * 3:
                    answer = await outcome(door.call("GetVideo", request, metadata))
                    assert answer.code == OK, (self.name, answer)
                    self.calls += 1
            self.connections += 1

    async def follows(self) -> None:
        """Waits until every connection is newer than now."""
        wanted = self.connections + 2
        while self.connections < wanted:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_rotation_under_load_fails_no_call(both: Place) -> None:
    """Certificates and authorities of clients, and the server's certificate, three times: 0 failed calls."""
    video_id, ca = await both.create(ALICE), both.folder / "clients.crt"
    loads = [Load(both, name, video_id, both.clients.issue_spiffe(ALICE)) for name in DOORS]
    async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(load.run()) for load in loads]
        for _ in range(3):
            old, new = both.clients, ClientAuthority.create()
            replace(ca, old.pem + new.pem)
            serial = both.server.renew()
            for port in (both.api.port, both.api.read_port):
                while await both.server.served(port, "h2") != serial:
                    pass
            for load in loads:
                load.identity = new.issue_spiffe(ALICE)
                await load.follows()
            replace(ca, new.pem)
            for load in loads:
                assert not await is_connected(both, load.name, old.issue_spiffe(ALICE))
                await load.follows()
            both.clients = new
        for task in running:
            task.cancel()
    print(f"certificates rotated under load: 0 failed calls of {sum(load.calls for load in loads):,}")


@pytest.mark.slow
async def test_edge_with_a_certificate_is_nobody(
    start_api: StartApi, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Envoy shows its certificate for all browsers: each needs a token."""
    home, ports = Directories.at(tmp_path_factory.mktemp("edge")), Ports({})
    certificates = Certificates(home)
    files = {**certificates.environment(), "TLS_CLIENT_CA_FILE": str(certificates.authority)}
    api = await start_api(AUTH_MODE="jwt+mtls", **files)
    envoy = Envoy(home, ports.pick("edge"), ports.pick("admin"), [api], certificates)
    context = ssl.create_default_context(cafile=certificates.authority)
    try:
        await asyncio.to_thread(envoy.start)
        await asyncio.to_thread(envoy.wait_for_apis)
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            edge = EdgeDoor(session, envoy.url, as_json)
            for metadata, expected in (((), NOBODY), (FOR_ALICE, NOBODY), (caller("alice", "read"), ABSENT)):
                assert await answers(edge, (str(uuid4()),), metadata) == (expected,)
                listed = str(await outcome(edge.call("ListVideos", messages.ListVideosRequest(), metadata)))
                assert listed == (NOBODY if expected == NOBODY else OK)
    finally:
        await asyncio.to_thread(envoy.stop)
        home.remove()
