"""Remembers what the header blocks of one connection mean.

HPACK decodes a block from left to right, and its meaning depends on its bytes and on the dynamic table only.
So equal bytes have an equal meaning until the table changes.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from hpack import Decoder
from hpack.exceptions import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman

from gostream_api.read_door.http2.calls import Opened, Template, traceparent_in
from gostream_api.read_door.http2.library import CountedTable
from gostream_api.rpc import grpc_framing
from gostream_api.rpc.grpc_framing import Header, RefusedError
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, SANE, TRACEPARENT

#: Blocks that are remembered per connection, their bytes in all, and those of one block, which has the token.
MAX_BLOCKS, MAX_BYTES, MAX_BLOCK = 16, 8192, 4096
#: Headers of a call whose block is compared without its varying headers; bounds the size of the list.
_MAX_FIELDS = 32

_TIMEOUT, _REQUEST_ID, _TRACEPARENT = b"grpc-timeout", REQUEST_ID.encode(), TRACEPARENT.encode()
#: Headers that often differ in each call of one client.
_VARYING = (_TIMEOUT, _REQUEST_ID, _TRACEPARENT)
_TRACE = re.compile(rb"[0-9a-f]{2}(-[0-9a-f]+)+")
_LITERALS = (0x00, 0x10, 0x40)  # without indexing, never indexed, with indexing; the name is literal too
_HUFFMAN, _LONG = 0x80, 0x7F

_huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def _names(name: bytes) -> tuple[bytes, bytes]:
    """Returns the two encodings of a name."""
    short = _huffman.encode(name)
    return bytes((len(name),)) + name, bytes((_HUFFMAN | len(short),)) + short


_ENCODED = tuple((name, encoded) for name in _VARYING for encoded in _names(name))


class _Cut(NamedTuple):
    """A block without its varying fields: `key` has the pieces between them and their encoded names."""

    key: tuple[bytes, ...]
    pieces: list[bytes]
    names: list[bytes]
    values: list[bytes]


class HeaderBlocks:
    """The meanings of blocks, at most MAX_BLOCKS. `exact` has those of whole blocks."""

    def __init__(self, table: CountedTable) -> None:
        self._table = table
        self._generation = table.generation
        self._size = 0
        self.exact: dict[bytes, Template] = {}
        #: The last block that was found whole, and its meaning. Comparing costs less than a hash.
        self.last_block: bytes | None = None
        self.last: Template | None = None
        self._cut: dict[tuple[bytes, ...], Template] = {}

    def check(self) -> None:
        """Forget everything if the table has changed. Call it after each use of the decoder."""
        if self._generation != self._table.generation:
            self._forget()

    def learn(self, block: bytes, opened: Opened, generation: int) -> None:
        """Remember a block that was decoded when the table was of `generation`."""
        if generation != self._table.generation or len(block) > MAX_BLOCK:
            return
        if len(self.exact) >= MAX_BLOCKS or self._size + len(block) > MAX_BYTES:
            self._forget()
        if block not in self.exact:
            self.exact[block] = opened.call.template
            self._size += len(block)
        if (
            self._table.maxsize == 0 and len(opened.headers) <= _MAX_FIELDS
        ):  # so no value can change the table
            cut = _cut(block)
            if cut is not None and self._is_right(cut, opened.headers):
                self._cut[cut.key] = opened.call.template

    def find(self, block: bytes) -> Template | None:
        """Returns the meaning of a block, or None if it is unknown."""
        template = self.exact.get(block)
        if template is None:
            return self.varied(block)
        self.last_block, self.last = block, template
        return template

    def varied(self, block: bytes) -> Template | None:
        """Returns the meaning of a block that equals an earlier one except in varying headers."""
        if not self._cut or len(block) > MAX_BLOCK:
            return None
        cut = _cut(block)
        if cut is None or (template := self._cut.get(cut.key)) is None:
            return None
        try:
            fields = list(_decoded(cut))
        except HPACKError:
            return None
        for name, value in fields:
            if not _is_harmless(name, value):
                return None
            if name == _REQUEST_ID:
                template = template._replace(request_id=value)
            elif name == _TRACEPARENT:
                template = template._replace(traceparent=traceparent_in({name: value}))
        return template

    def _forget(self) -> None:
        self._generation = self._table.generation
        self._size = 0
        self.last_block = None
        self.exact.clear()
        self._cut.clear()

    def _is_right(self, cut: _Cut, headers: list[Header]) -> bool:
        """Returns True if the cuts are between the fields of a block with these headers."""
        decoder = Decoder()
        decoder.header_table = self._table
        found: list[Header] = []
        try:
            for piece, field in zip_longest(cut.pieces, _decoded(cut)):
                found += decoder.decode(piece, raw=True)
                found += [field] if field else []
        except HPACKError:
            return False
        varying = [name for name, _ in headers if name in _VARYING]
        return varying == cut.names and [tuple(field) for field in found] == [tuple(each) for each in headers]


def _cut(block: bytes) -> _Cut | None:
    """Cut the varying fields out of a block; returns None if it seems to have none, or one twice.

    What looks like a field may be part of a value, which is found out when the block is learned: a piece that
    ends between two fields does so in every block that begins with it.
    """
    spans = []
    for name, encoded in _ENCODED:
        at = block.find(encoded)
        if at < 1:
            continue
        begin, start = at - 1, at + len(encoded)
        if start >= len(block) or block[begin] not in _LITERALS:
            return None
        length = block[start] & _LONG
        end = start + 1 + length
        if length == _LONG or end > len(block):
            return None
        spans.append((begin, end, name, block[begin:start], block[start:end]))
    if not spans:
        return None
    spans.sort()
    key, pieces, at = [], [], 0
    for begin, end, _, field, _ in spans:
        if begin < at:
            return None
        pieces.append(block[at:begin])
        key += [pieces[-1], field]
        at = end
    pieces.append(block[at:])
    return _Cut((*key, pieces[-1]), pieces, [span[2] for span in spans], [span[4] for span in spans])


def _decoded(cut: _Cut) -> Iterator[Header]:
    for name, value in zip(cut.names, cut.values, strict=True):
        yield name, bytes(decode_huffman(value[1:])) if value[0] & _HUFFMAN else value[1:]


def _is_harmless(name: bytes, value: bytes) -> bool:
    """Returns True if a call with this header is answered as one with another value of it.

    Except for the request id in the reply.
    """
    if name == _REQUEST_ID:
        return SANE.fullmatch(value.decode("latin-1")) is not None
    if name != _TIMEOUT:
        return _TRACE.fullmatch(value) is not None
    try:
        grpc_framing.timeout_of({name: value})
    except RefusedError:
        return False
    return True
