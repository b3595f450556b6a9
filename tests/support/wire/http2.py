"""HTTP/2 byte by byte: frames, header blocks without compression, and what a server sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20

Pair = tuple[str, str]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs)
    return frame(SETTINGS, payload=payload)


def number(value: int) -> bytes:
    """Four bytes: an error code, a window increment, a stream."""
    return value.to_bytes(4, "big")


def integer(value: int, bits: int, pattern: int = 0) -> bytes:
    """An integer of HPACK with a prefix of `bits`, under the bits of `pattern`."""
    most = 2**bits - 1
    if value < most:
        return bytes((pattern | value,))
    coded, value = bytearray((pattern | most,)), value - most
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    return bytes((*coded, value))


def literal(name: bytes, value: bytes, pattern: int = 0) -> bytes:
    """A header without Huffman code; pattern 0x40 adds it to the dynamic table, 0 does not."""
    return bytes((pattern,)) + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(pairs: Iterable[Pair]) -> bytes:
    return b"".join(literal(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


@dataclass
class Seen:
    """The frames that a server sent."""

    rest: bytes = b""
    frames: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        self.rest += data
        while len(self.rest) >= 9 and len(self.rest) >= (end := 9 + int.from_bytes(self.rest[:3], "big")):
            head, payload = self.rest[:9], self.rest[9:end]
            stream = int.from_bytes(head[5:], "big") & 2**31 - 1
            self.frames.append((head[3], head[4], stream, payload))
            self.rest = self.rest[end:]

    def of(self, kind: int, stream: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The flags and payloads of the frames of this type."""
        for seen, flags, of_stream, payload in self.frames:
            if seen == kind and stream in (None, of_stream):
                yield flags, payload

    @property
    def goaway(self) -> int | None:
        """The error code of the last GOAWAY."""
        codes = [int.from_bytes(payload[4:8], "big") for _, payload in self.of(GOAWAY)]
        return codes[-1] if codes else None

    @property
    def resets(self) -> dict[int, int]:
        """The error codes of RST_STREAM by stream."""
        return {
            stream: int.from_bytes(payload, "big")
            for kind, _, stream, payload in self.frames
            if kind == RST_STREAM
        }

    def has_ended(self, stream: int) -> bool:
        """Returns True after the last frame of a stream."""
        ended = any(flags & END_STREAM for kind in (DATA, HEADERS) for flags, _ in self.of(kind, stream))
        return ended or stream in self.resets
