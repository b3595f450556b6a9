"""A small gRPC load generator: unary calls over plaintext HTTP/2, from one thread, for a bounded time.

A client library would cost more than the servers it measures, so the frames are made here: every request is a
few bytes that are known beforehand, and of a response only its end and its length are looked at. A response
without a message counts as a failure. Prints one JSON object.

    python benchmarks/load/grpc_load.py 127.0.0.1:8080 /package.Service/Method messages.bin --seconds 5

`messages.bin` holds request messages, each preceded by its length (4 bytes, big-endian), sent in a random
order. With `--rate`, calls begin on a schedule whether or not earlier ones are done, and a latency counts
from the moment at which its call was due.
"""

import argparse
import json
import random
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEADER_TABLE_SIZE, _TABLE_SIZE = 1, 4096  # the setting, and what it is unless set
_MAX_WINDOW = 2**31 - 1
_REGRANT = 2**30
_FRAME = struct.Struct(">HBBBL")  # the length as 16 + 8 bits


class ServerLeftError(Exception):
    """The server closed a connection while calls were open on it."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class HeaderBlocks:
    """The request's headers in HPACK: written out once on a connection, four indices from then on."""

    def __init__(self, authority: str, path: str) -> None:
        literals = (
            (b"\x44", path.encode()),  # :path
            (b"\x41", authority.encode()),  # :authority
            (b"\x5f", b"application/grpc"),  # content-type
            (b"\x40\x02te", b"trailers"),
        )
        post_http = b"\x83\x86"
        self._literals = post_http + b"".join(
            name + bytes((len(value),)) + value for name, value in literals if len(value) < 127
        )
        self.later = post_http + bytes(0x80 | index for index in (65, 64, 63, 62))

    def first(self, table_size: int) -> bytes:
        """The first block on a connection whose server keeps a table of that size."""
        return (table_size_update(table_size) if table_size < _TABLE_SIZE else b"") + self._literals


def table_size_update(size: int) -> bytes:
    """HPACK's word for it (RFC 7541 §6.3): 5 bits, then 7 at a time."""
    if size < 31:
        return bytes((0x20 | size,))
    size -= 31
    octets = bytearray((0x3F,))
    while size > 0x7F:
        octets.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*octets, size))


@dataclass
class Tally:
    """What was seen."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    received: int = 0


class Connection:
    """One connection with a number of calls open at a time."""

    def __init__(self, address: tuple[str, int], blocks: HeaderBlocks, streams: int) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack(">HL", 4, _MAX_WINDOW) + struct.pack(">HL", 1, 4096)
        grant = frame(8, 0, 0, struct.pack(">L", _MAX_WINDOW - 65535))
        self.socket.sendall(_PREFACE + frame(_SETTINGS, 0, 0, settings) + grant)
        self._first_block = blocks.first(self._await_settings())
        self.socket.setblocking(False)
        self.free = streams
        self._later_block = blocks.later
        self._next_stream = 1
        self._due: dict[int, float] = {}
        self._has_data: set[int] = set()
        self._buffer = b""
        self._ungranted = 0

    def _await_settings(self) -> int:
        """Take the server's first frame; answers the size of its HPACK table."""
        head = self.socket.recv(9, socket.MSG_WAITALL)
        payload = self.socket.recv(int.from_bytes(head[:3], "big"), socket.MSG_WAITALL)
        self.socket.sendall(frame(_SETTINGS, _ACK, 0))
        settings: dict[int, int] = dict(struct.iter_unpack(">HL", payload))
        return settings.get(_HEADER_TABLE_SIZE, _TABLE_SIZE)

    def call(self, message: bytes, due: float) -> bytes:
        """The bytes of one more call, which counts as begun at `due`."""
        stream = self._next_stream
        self._next_stream = stream + 2
        block = self._first_block if stream == 1 else self._later_block
        self._due[stream] = due
        self.free -= 1
        return b"%b%b" % (
            frame(_HEADERS, _END_HEADERS, stream, block),
            frame(_DATA, _END_STREAM, stream, message),
        )

    def send(self, data: bytes) -> None:
        """Requests are small: a socket that is full means that the server does not read."""
        if data and self.socket.send(data) != len(data):
            raise ServerLeftError("the server does not read")

    def receive(self, tally: Tally) -> None:
        """Take what has come; finished calls are free again."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ServerLeftError("the server closed a connection")
        tally.received += len(data)
        buffer = self._buffer + data if self._buffer else data
        position, end, reply = 0, len(buffer), b""
        while end - position >= 9:
            high, low, kind, flags, stream = _FRAME.unpack_from(buffer, position)
            length = high << 8 | low
            if end - position < 9 + length:
                break
            if kind in (_DATA, _HEADERS):
                self._on_response(kind, flags, stream, length, tally)
            else:
                reply += self._on_control(
                    kind, flags, stream, buffer[position + 9 : position + 9 + length], tally
                )
            position += 9 + length
        self._buffer = buffer[position:]
        self._ungranted += len(data)
        if self._ungranted > _REGRANT:
            reply += frame(8, 0, 0, struct.pack(">L", self._ungranted))
            self._ungranted = 0
        self.send(reply)

    def _on_response(self, kind: int, flags: int, stream: int, length: int, tally: Tally) -> None:
        if kind == _DATA and length:
            self._has_data.add(stream)
        if flags & _END_STREAM:
            self._end(stream, tally)

    def _on_control(self, kind: int, flags: int, stream: int, payload: bytes, tally: Tally) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            return frame(_SETTINGS, _ACK, 0)
        if kind == _PING and not flags & _ACK:
            return frame(_PING, _ACK, 0, payload)
        if kind == _RST_STREAM and stream in self._due:
            self._has_data.discard(stream)
            self._end(stream, tally)
        if kind == _GOAWAY:
            raise ServerLeftError("the server said GOAWAY")
        return b""

    def _end(self, stream: int, tally: Tally) -> None:
        tally.latencies.append(time.perf_counter() - self._due.pop(stream))
        if stream in self._has_data:
            self._has_data.remove(stream)
        else:
            tally.failures += 1
        self.free += 1


def read_messages(path: Path) -> list[bytes]:
    """The messages of the file, each in its gRPC frame."""
    data, messages, position = path.read_bytes(), [], 0
    while position < len(data):
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        messages.append(b"\0" + data[position:end])
        position = end
    return messages


def _shuffled(messages: list[bytes]) -> Iterator[bytes]:
    order = random.sample(messages, len(messages))
    while True:
        yield from order


class Load:
    """All connections, driven by one epoll."""

    def __init__(self, connections: list[Connection], messages: list[bytes]) -> None:
        self._messages = _shuffled(messages)
        self._connections = {each.socket.fileno(): each for each in connections}
        self._epoll = select.epoll()
        for number in self._connections:
            self._epoll.register(number, select.EPOLLIN)
        self.tally = Tally()

    def run_closed(self, seconds: float) -> None:
        """Every call is followed by the next one at once."""
        until = time.perf_counter() + seconds
        for connection in self._connections.values():
            self._refill(connection)
        while (now := time.perf_counter()) < until:
            for number, _ in self._epoll.poll(until - now):
                connection = self._connections[number]
                connection.receive(self.tally)
                self._refill(connection)

    def run_once(self, number: int, seconds: float) -> None:
        """So many calls, given up after `seconds`."""
        until = time.perf_counter() + seconds
        free, begun = self._free(), 0
        while len(self.tally.latencies) < number and (now := time.perf_counter()) < until:
            while free and begun < number:
                connection = free.popleft()
                connection.send(connection.call(next(self._messages), now))
                begun += 1
            for ready, _ in self._epoll.poll(until - now):
                free += self._receive(ready)

    def _free(self) -> deque[Connection]:
        """Each connection as often as it has room for a call."""
        return deque(each for each in self._connections.values() for _ in range(each.free))

    def _receive(self, number: int) -> list[Connection]:
        """The connection, as often as calls ended on it."""
        connection = self._connections[number]
        before = connection.free
        connection.receive(self.tally)
        return [connection] * (connection.free - before)

    def _refill(self, connection: Connection) -> None:
        now = time.perf_counter()
        connection.send(
            b"".join([connection.call(next(self._messages), now) for _ in range(connection.free)])
        )

    def run_open(self, seconds: float, rate: float) -> None:
        """Calls begin `rate` times a second, on whichever connection is free longest."""
        begun = time.perf_counter()
        free, number = self._free(), 0
        while (now := time.perf_counter()) < begun + seconds:
            while free and (due := begun + number / rate) <= now:
                connection = free.popleft()
                connection.send(connection.call(next(self._messages), due))
                number += 1
            wait = max(0.0, begun + number / rate - now) if free else 0.1
            # epoll's own timeout is a millisecond at least, which is longer than most calls take.
            for ready, _ in self._epoll.poll(wait if wait > 0.001 else 0):
                free += self._receive(ready)


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie; `values` sorted."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def main() -> None:
    """Run one load and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="host:port")
    parser.add_argument("path", help="/package.Service/Method")
    parser.add_argument("messages", type=Path)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1, help="open calls on each connection")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second; 0 = as many as it can")
    parser.add_argument("--once", action="store_true", help="each message once; --seconds is the patience")
    options = parser.parse_args()
    host, port = options.address.rsplit(":", 1)
    blocks = HeaderBlocks(options.address, options.path)
    connections = [Connection((host, int(port)), blocks, options.streams) for _ in range(options.connections)]
    messages = read_messages(options.messages)
    load = Load(connections, messages)
    cpu, wall = time.process_time(), time.perf_counter()
    if options.once:
        load.run_once(len(messages), options.seconds)
    elif options.rate:
        load.run_open(options.seconds, options.rate)
    else:
        load.run_closed(options.seconds)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found, latencies = load.tally, sorted(load.tally.latencies)
    print(
        json.dumps(
            {
                "calls": len(latencies),
                "failures": found.failures,
                "seconds": wall,
                "rate": len(latencies) / wall,
                "p50_ms": percentile(latencies, 0.5) * 1000,
                "p99_ms": percentile(latencies, 0.99) * 1000,
                "received_bytes": found.received,
                "own_cpu_share": cpu / wall,
            }
        )
    )


if __name__ == "__main__":
    main()
