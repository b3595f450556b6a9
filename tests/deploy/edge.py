"""Helpers for the edge tests: paths of a small stream, an HTTP request, variants of the edge."""

import http.client
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import ClassVar

from gostream_devstack.servers.nginx import Nginx
from gostream_devstack.servers.server import Server

SECRET = "Only.The+Worker"
MASTER = "/hls/v-1/master.m3u8"
PLAYLIST = "/hls/v-1/v2/720p/playlist.m3u8"
SEGMENT = "/hls/v-1/v2/720p/seg_00001.ts"
IMMUTABLE = "public, max-age=86400, immutable"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cache(self) -> str:
        return self.headers["x-cache-status"]


def ask(edge: Server, target: str, method: str = "GET", **headers: str) -> Answer:
    """Sends one request with an unmodified target. Underscores in header names become dashes."""
    connection = http.client.HTTPConnection(edge.host, edge.port, timeout=60)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return _answer(connection)
    finally:
        connection.close()


def ask_from_many(edge: Nginx, target: str, viewers: int, when_sent: Callable[[], None]) -> list[Answer]:
    """Sends a request from each of up to 60,000 addresses. Reads the answers after `when_sent`."""
    with ExitStack() as opened:
        connections = []
        for number in range(viewers):
            source = (f"127.1.{number // 250}.{number % 250 + 1}", 0)
            connection = http.client.HTTPConnection(edge.host, edge.port, timeout=60, source_address=source)
            connections.append(opened.enter_context(closing(connection)))
            connection.connect()
        for connection in connections:
            connection.request("GET", target)
        when_sent()
        return [_answer(connection) for connection in connections]


def _answer(connection: http.client.HTTPConnection) -> Answer:
    reply = connection.getresponse()
    return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())


class ShortLived(Nginx):
    """An edge whose playlists expire after one second instead of one hour."""

    def prepare(self) -> None:
        super().prepare()
        config = self.directory / "nginx.conf"
        text = config.read_text()
        assert text.count("200 1h;") == 2
        self.directories.write(config, text.replace("200 1h;", "200 1s;"))


class ForOthers(Nginx):
    """An edge that only another network may refresh."""

    def variables(self) -> Mapping[str, str]:
        return {**super().variables(), "EDGE_REFRESH_FROM": "192.0.2.0/24"}


class Varied(Nginx):
    """An edge with overridden variables."""

    values: ClassVar[Mapping[str, str]] = {}

    def variables(self) -> Mapping[str, str]:
        return {**super().variables(), **self.values}


def varied(**values: str) -> type[Varied]:
    """Returns an edge class with these variables."""
    return type("Edge", (Varied,), {"values": values})
