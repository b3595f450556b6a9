"""Viewers of one segment over HTTP/1.1, cheap enough to keep a server busy from one core."""

import contextlib
import select
import socket
import time

Address = tuple[str, int]
MAX_ANSWERS = 1_000_000
_HEAD = 4096  # bytes of an answer that are read, not dropped; all its headers fit
_SILENCE = 10.0


class Viewer:
    """One connection with one open request at a time."""

    def __init__(self, server: Address, size: int, before: str = "") -> None:
        """`before`: a signed path, as of GetPlaybackInfo."""
        self.request = f"GET {before}/hls/bench/v1/720p/{size}.ts HTTP/1.1\r\nHost: edge\r\n\r\n".encode()
        self.size = size
        self.head = b""
        self.missing = -1  # bytes of the body; negative before the head
        self.socket = socket.create_connection(server, timeout=_SILENCE)
        self.socket.settimeout(None)  # with a timeout, Python polls before every call

    def ask(self) -> None:
        """Sends the request."""
        self.missing = -1
        self.socket.sendall(self.request)

    def read(self, buffer: bytearray) -> bool:
        """Reads arrived bytes. Returns True at the end of the answer. Raises RuntimeError if not a 200."""
        try:
            while self.missing:
                if self.missing < 0:
                    self._read_head(buffer)
                else:
                    self._drop(buffer)
        except BlockingIOError:
            return False
        return True

    @property
    def is_last(self) -> bool:
        """Whether the server closes the connection after this answer."""
        return b"\r\nConnection: close" in self.head

    def _read_head(self, buffer: bytearray) -> None:
        count = self.socket.recv_into(buffer, _HEAD, socket.MSG_DONTWAIT)
        self.head, separator, body = bytes(buffer[:count]).partition(b"\r\n\r\n")
        if not self.head.startswith(b"HTTP/1.1 200 ") or not separator:
            raise RuntimeError(f"unexpected answer: {self.head[:200]!r}")
        self.missing = self.size - len(body)

    def _drop(self, buffer: bytearray) -> None:
        limit = min(self.missing, len(buffer))
        count = self.socket.recv_into(buffer, limit, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
        if count == 0:
            raise RuntimeError("the server closed the connection within an answer")
        self.missing -= count


def drive(
    server: Address, size: int, connections: int, seconds: float, before: str = ""
) -> tuple[int, float]:
    """Keeps a request open on every connection. Returns the number of complete answers, and the seconds."""
    buffer = bytearray(1 << 20)
    watched: dict[int, Viewer] = {}
    answers = 0
    with select.epoll() as poll, contextlib.ExitStack() as closing:

        def add() -> None:
            viewer = Viewer(server, size, before)
            closing.callback(viewer.socket.close)
            watched[viewer.socket.fileno()] = viewer
            poll.register(viewer.socket, select.EPOLLIN)
            viewer.ask()

        begun = time.perf_counter()
        for _ in range(connections):
            add()
        while ((now := time.perf_counter()) < begun + seconds and answers < MAX_ANSWERS) or not answers:
            ready = poll.poll(_SILENCE)
            if not ready:
                raise RuntimeError(f"no answer in {_SILENCE:g} s")
            for number, _ in ready:
                viewer = watched[number]
                if not viewer.read(buffer):
                    continue
                answers += 1
                if viewer.is_last:
                    watched.pop(number).socket.close()
                    add()
                else:
                    viewer.ask()
    return answers, now - begun
