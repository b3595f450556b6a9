"""The egress guard: URLs by their form, connections by the address that is dialled."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st

from gostream_shared.egress import guard
from gostream_shared.egress.addresses import is_public
from gostream_shared.egress.guard import AddressRefusedError, EgressGuard, UrlRefusedError

PUBLIC = EgressGuard()


@dataclass
class Listener:
    """Servers on both loopback addresses, on one port, that count their connections."""

    port: int = 0
    connections: int = 0
    servers: list[asyncio.Server] = field(default_factory=list)

    async def open(self) -> None:
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            try:
                server = await asyncio.start_server(self._answer, host, self.port, family=family)
            except OSError:  # a machine without IPv6
                continue
            self.port = server.sockets[0].getsockname()[1]
            self.servers.append(server)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        writer.close()


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    """Its port counts as a usual one, so that only the address can be refused."""
    listener = Listener()
    await listener.open()
    monkeypatch.setattr(guard, "_ANY_PORT", frozenset({listener.port}))
    yield listener
    for server in listener.servers:
        server.close()


class Names(AbstractResolver):
    """Resolves names to the given addresses, one answer after the other."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        pass


async def request(url: str, checks: EgressGuard | None, resolver: AbstractResolver | None = None) -> str:
    connector = aiohttp.TCPConnector(
        socket_factory=checks.open_socket if checks else None, resolver=resolver, use_dns_cache=False
    )
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        return await answer.text()


#: Spellings of this machine. Most of them reach the listener without a guard.
LOOPBACK = """
    127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 0.0.0.0 0 localhost
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::1] [::]
""".split()  # noqa: SIM905 - a page of quotation marks
INTERNAL = """
    10.0.0.1 100.64.0.1 100.100.100.200 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1 192.0.0.8
    192.88.99.1 192.168.0.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 [::127.0.0.1] [::ffff:0.0.0.0]
    [64:ff9b::127.0.0.1] [64:ff9b:1::127.0.0.1] [2002:7f00:1::] [fe80::1] [fec0::1] [fd00:ec2::254] [ff02::1]
""".split()  # noqa: SIM905


@pytest.mark.parametrize("host", [*LOOPBACK, *INTERNAL])
async def test_internal_target_gets_no_connection(listener: Listener, host: str) -> None:
    with pytest.raises((aiohttp.ClientError, ValueError)) as refused:
        await request(f"http://{host}:{listener.port}/", PUBLIC)

    cause = getattr(refused.value, "os_error", None)
    assert isinstance(cause, AddressRefusedError) or not isinstance(
        refused.value, aiohttp.ClientConnectorError
    )
    assert listener.connections == 0


async def test_targets_reach_the_listener_without_guard(listener: Listener) -> None:
    reached = []
    for host in LOOPBACK:
        try:
            reached.append(await request(f"http://{host}:{listener.port}/", None))
        except (aiohttp.ClientError, ValueError):
            continue

    assert listener.connections >= 5, "the table above would prove nothing"
    assert set(reached) == {"secret"}


async def test_name_that_changes_its_address_is_refused(listener: Listener) -> None:
    """The name has a public address when it is looked up first, and loopback when it is dialled."""
    names = Names("93.184.216.34", "127.0.0.1")
    assert (await names.resolve("rebind.example"))[0]["host"] == "93.184.216.34"

    with pytest.raises(aiohttp.ClientConnectorError) as refused:
        await request(f"http://rebind.example:{listener.port}/", PUBLIC, names)

    assert isinstance(refused.value.os_error, AddressRefusedError)
    assert listener.connections == 0


async def test_allowed_network_is_reached_on_any_port(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowing = EgressGuard.of("127.0.0.0/8, fd00::/8", allows_http=True)
    monkeypatch.setattr(guard, "_ANY_PORT", frozenset[int]())

    assert await request(f"http://127.0.0.1:{listener.port}/", allowing) == "secret"
    assert await request(f"http://[::ffff:127.0.0.1]:{listener.port}/", allowing) == "secret"
    assert await request(f"http://name.example:{listener.port}/", allowing, Names("127.0.0.1")) == "secret"
    assert listener.connections == 3


def test_other_port_of_public_address_is_refused() -> None:
    for port in (22, 25, 80, 443, 5432, 6379, 8080, 8443, 9200):
        info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", port))
        if port in (80, 443, 8080, 8443):
            PUBLIC.open_socket(info).close()
            continue
        with pytest.raises(AddressRefusedError):
            PUBLIC.open_socket(info)


REFUSED_URLS = {
    "": "1 to 2048",
    "https://example.com/" + "a" * 2048: "1 to 2048",
    "https://example.com/a b": "spaces",
    "https://example.com\\@127.0.0.1/": "backslashes",
    "https://example.com/\r\nHost: x": "control",
    "http://example.com/": "https://",
    "ftp://example.com/": "https://",
    "file:///etc/passwd": "https://",
    "//example.com/": "https://",
    "example.com": "https://",
    "https://": "host",
    "https:///path": "host",
    "https://example.com:99999/": "absolute",
    "https://example.com:0/": "port",
    "https://example.com:22/": "port",
    "https://8.8.8.8:6379/": "port",
    "https://user@example.com/": "user",
    "https://user:word@example.com/": "user",
    "https://example.com@127.0.0.1/": "user",
    "https://127.0.0.1/": "public",
    "https://127.1/": "public",
    "https://2130706433/": "public",
    "https://0x7f000001/": "public",
    "https://017700000001/": "public",
    "https://0x7f.0.0.1/": "public",
    "https://127.0.0.1./": "public",
    "https://１２７.０.０.１/": "public",
    "https://127。0。0。1/": "public",
    "https://%31%32%37.0.0.1/": "public",
    "https://[::1]/": "public",
    "https://[::ffff:10.0.0.1]/": "public",
    "https://[fe80::1%25eth0]/": "public",
    "https://[v1.fe80::1]/": "public",
    "https://169.254.169.254/latest/meta-data/": "public",
    "https://localhost/": "public",
    "https://localhost./": "public",
    "https://ⓛocalhost/": "public",
    "https://redis:443/": "public",
    "https://a..example/": "public",
    "https://" + "a" * 64 + ".example/": "public",
}


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_url_is_refused_with_its_reason(url: str) -> None:
    with pytest.raises(UrlRefusedError, match=REFUSED_URLS[url]) as refused:
        PUBLIC.check_url(url)

    assert str(refused.value).startswith("must ")


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com.:443/a#part", "https://example.com/a"),
        ("https://example.com:8443/a%2fb?x=%2F&y=%20+~", "https://example.com:8443/a%2fb?x=%2F&y=%20+~"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://8.8.8.8/film.mp4", "https://8.8.8.8/film.mp4"),
        ("https://[2606:4700:0::1111]/film.mp4", "https://[2606:4700::1111]/film.mp4"),
        ("https://cdn_1.example.com/film.mp4", "https://cdn_1.example.com/film.mp4"),
    ],
)
def test_public_url_keeps_its_path(url: str, requested: str) -> None:
    checked = PUBLIC.check_url(url)

    assert str(checked).removesuffix("/") == requested.removesuffix("/")
    assert str(PUBLIC.check_url(str(checked))) == str(checked)


def test_private_network_may_use_names_and_ports() -> None:
    allowing = EgressGuard.of("10.0.0.0/8", allows_http=True)

    for url in ("http://minio:9000/film.mp4", "http://10.1.2.3:9000/film.mp4", "https://localhost/film.mp4"):
        assert str(allowing.check_url(url)) == url
    with pytest.raises(UrlRefusedError):
        allowing.check_url("http://127.0.0.1:9000/film.mp4")


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(max_size=40).map(lambda text: f"https://{text}"),
        st.tuples(st.ip_addresses(), st.text(max_size=10)).map(lambda pair: f"https://{pair[0]}/{pair[1]}"),
    )
)
@example("https://[::ffff:0:0]/")
def test_any_text_is_refused_or_admitted_for_good(text: str) -> None:
    """An admitted URL has a host that is not internal, and is admitted again."""
    try:
        url = PUBLIC.check_url(text)
    except UrlRefusedError:
        return

    assert PUBLIC.check_url(str(url)) == url
    host = str(url.host)
    assert url.scheme == "https"
    assert "." in host or ":" in host
    with suppress(ValueError):
        assert is_public(ip_address(host))
