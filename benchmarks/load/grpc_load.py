"""A small load generator: unary gRPC calls over plaintext HTTP/2 from one thread, for a limited time.

A client library would cost more CPU than the measured servers, so this module builds the frames. Requests are
encoded in advance; of a response it reads only the length and the end. A response without a message counts as
a failure. Prints one JSON object.

    python benchmarks/load/grpc_load.py 127.0.0.1:8080 /package.Service/Method messages.bin --seconds 5

`messages.bin` holds request messages, each preceded by its length (4 bytes, big-endian), sent in a random
order. With `--rate`, calls begin on a schedule whether or not earlier ones are done, and a latency counts
from the moment at which its call was due. With `--json`, the messages are paths, which are read by GET; a
status other than 200 is a failure.
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
_STATUS_200 = 0x88  # in HPACK
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEADER_TABLE_SIZE, _TABLE_SIZE = 1, 4096  # the setting and its default
_MAX_WINDOW = 2**31 - 1
_REGRANT = 2**30
_FRAME = struct.Struct(">HBBBL")  # the length as 16 + 8 bits


class ServerLeftError(Exception):
    """The server closed a connection with open calls."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class GrpcRequests:
    """gRPC calls of one method. HPACK: literals in the first block of a connection, then four indices."""

    checks_status = False

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
        self._entries_size = sum(len(value) + 64 for _, value in literals)  # roughly, at least
        self._later = post_http + bytes(0x80 | index for index in (65, 64, 63, 62))

    def frames(self, stream: int, message: bytes, table_size: int) -> bytes:
        """Returns the frames of a call if the server's table has this size."""
        block = first_update(table_size) + self._literals if stream == 1 else self._later
        return frame(_HEADERS, _END_HEADERS, stream, block) + frame(_DATA, _END_STREAM, stream, message)


class JsonRequests:
    """GET requests; each message is a path."""

    checks_status = True

    def __init__(self, authority: str) -> None:
        self._authority = b"\x41" + bytes((len(authority),)) + authority.encode()

    def frames(self, stream: int, message: bytes, table_size: int) -> bytes:
        path = message[5:]
        authority = self._authority if stream == 1 else b"\xbe"  # the newest entry of the table
        update = first_update(table_size) if stream == 1 else b""
        block = update + b"\x82\x86" + authority + b"\x04" + bytes((len(path),)) + path  # not indexed
        return frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, block)


def first_update(table_size: int) -> bytes:
    """What the first block on a connection begins with if the server's table has this size."""
    return table_size_update(table_size) if table_size < _TABLE_SIZE else b""


def table_size_update(size: int) -> bytes:
    """HPACK's dynamic table size update (RFC 7541 §6.3): a 5-bit prefix, then 7 bits per octet."""
    if size < 31:
        return bytes((0x20 | size,))
    size -= 31
    octets = bytearray((0x3F,))
    while size > 0x7F:
        octets.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*octets, size))


def is_ok(block: bytes) -> bool:
    """Returns whether the headers of a reply begin with status 200, after a possible table size update."""
    start = 0
    if block[0] >> 5 == 1:
        start = 1
        if block[0] & 0x1F == 0x1F:
            while block[start] & 0x80:
                start += 1
            start += 1
    return block[start] == _STATUS_200


@dataclass
class Tally:
    """Results of a load."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    received: int = 0


class Connection:
    """One connection with a limited number of open calls."""

    def __init__(self, address: tuple[str, int], requests: GrpcRequests | JsonRequests, streams: int) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack(">HL", 4, _MAX_WINDOW) + struct.pack(">HL", 1, 4096)
        grant = frame(8, 0, 0, struct.pack(">L", _MAX_WINDOW - 65535))
        self.socket.sendall(_PREFACE + frame(_SETTINGS, 0, 0, settings) + grant)
        self._table_size = self._await_settings()
        self.socket.setblocking(False)
        self.free = streams
        self._requests = requests
        self._next_stream = 1
        self._due: dict[int, float] = {}
        self._has_data: set[int] = set()
        self._refused: set[int] = set()
        self._buffer = b""
        self._ungranted = 0

    def _await_settings(self) -> int:
        """Reads the server's first frame. Returns the size of its HPACK table."""
        head = self.socket.recv(9, socket.MSG_WAITALL)
        payload = self.socket.recv(int.from_bytes(head[:3], "big"), socket.MSG_WAITALL)
        self.socket.sendall(frame(_SETTINGS, _ACK, 0))
        settings: dict[int, int] = dict(struct.iter_unpack(">HL", payload))
        return settings.get(_HEADER_TABLE_SIZE, _TABLE_SIZE)

    def call(self, message: bytes, due: float) -> bytes:
        """Returns the frames of a new call, whose latency counts from `due`."""
        stream = self._next_stream
        self._next_stream = stream + 2
        self._due[stream] = due
        self.free -= 1
        return self._requests.frames(stream, message, self._table_size)

    def send(self, data: bytes) -> None:
        """Sends small requests. Raises ServerLeftError if the socket is full: the server does not read."""
        if data and self.socket.send(data) != len(data):
            raise ServerLeftError("the server does not read")

    def receive(self, tally: Tally) -> None:
        """Reads available frames and frees the streams of finished calls."""
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
                is_first = kind == _HEADERS and stream not in self._has_data  # trailers follow the data
                if is_first and self._requests.checks_status and not is_ok(buffer[position + 9 :]):
                    self._refused.add(stream)
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
            raise ServerLeftError("the server sent GOAWAY")
        return b""

    def _end(self, stream: int, tally: Tally) -> None:
        tally.latencies.append(time.perf_counter() - self._due.pop(stream))
        if stream not in self._has_data or stream in self._refused:
            tally.failures += 1
        self._has_data.discard(stream)
        self._refused.discard(stream)
        self.free += 1


def read_messages(path: Path) -> list[bytes]:
    """Returns the file's messages as gRPC frames."""
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
    """All connections, on one epoll."""

    def __init__(self, connections: list[Connection], messages: list[bytes]) -> None:
        self._messages = _shuffled(messages)
        self._connections = {each.socket.fileno(): each for each in connections}
        self._epoll = select.epoll()
        for number in self._connections:
            self._epoll.register(number, select.EPOLLIN)
        self.tally = Tally()

    def run_closed(self, seconds: float) -> None:
        """Starts the next call as soon as a call ends."""
        until = time.perf_counter() + seconds
        for connection in self._connections.values():
            self._refill(connection)
        while (now := time.perf_counter()) < until:
            for number, _ in self._epoll.poll(until - now):
                connection = self._connections[number]
                connection.receive(self.tally)
                self._refill(connection)

    def run_once(self, number: int, seconds: float) -> None:
        """Makes `number` calls; stops after `seconds`."""
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
        """Connections with free streams, one element per stream."""
        return deque(each for each in self._connections.values() for _ in range(each.free))

    def _receive(self, number: int) -> list[Connection]:
        """Reads frames. Returns the connection once per finished call."""
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
        """Starts `rate` calls per second, each on the connection that is free longest."""
        begun = time.perf_counter()
        free, number = self._free(), 0
        while (now := time.perf_counter()) < begun + seconds:
            while free and (due := begun + number / rate) <= now:
                connection = free.popleft()
                connection.send(connection.call(next(self._messages), due))
                number += 1
            wait = max(0.0, begun + number / rate - now) if free else 0.1
            # epoll's minimum timeout is 1 ms, longer than most calls.
            for ready, _ in self._epoll.poll(wait if wait > 0.001 else 0):
                free += self._receive(ready)


def percentile(values: list[float], share: float) -> float:
    """The percentile `share` of the sorted `values`."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def main() -> None:
    """Runs one load and prints the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="host:port")
    parser.add_argument("path", help="/package.Service/Method")
    parser.add_argument("messages", type=Path)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1, help="open calls on each connection")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="calls per second; 0 = unlimited")
    parser.add_argument("--json", action="store_true", help="the messages are paths")
    parser.add_argument("--once", action="store_true", help="send each message once within --seconds")
    options = parser.parse_args()
    host, port = options.address.rsplit(":", 1)
    requests = JsonRequests(options.address) if options.json else GrpcRequests(options.address, options.path)
    connections = [
        Connection((host, int(port)), requests, options.streams) for _ in range(options.connections)
    ]
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
