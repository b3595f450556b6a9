"""Decodes header blocks within the rules and bounds that hpack leaves to its caller."""

from collections.abc import Iterable

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hpack import Decoder, HeaderTuple, HPACKDecodingError, HPACKError, OversizedHeaderListError

#: RFC 7541, section 4.2. Each one is a byte, so a block of any length could consist of them.
_MAX_TABLE_SIZES = 2


class HeaderBlockError(ProtocolError):
    """A block that cannot be decoded. No later one of the connection can be."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class BlockDecoder(Decoder):
    """Raises HeaderBlockError for a malformed block. h2 would report it as PROTOCOL_ERROR."""

    _table_sizes = 0

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        self._table_sizes = 0
        try:
            return super().decode(data, raw)
        except OversizedHeaderListError:
            raise
        except (HPACKError, IndexError, UnicodeDecodeError):
            # The errors' texts contain the block.
            raise HeaderBlockError("malformed header block") from None

    def _update_encoding_context(self, data: bytes | memoryview) -> int:
        self._table_sizes += 1
        if self._table_sizes > _MAX_TABLE_SIZES:
            raise HPACKDecodingError("too many table sizes")
        return super()._update_encoding_context(data)
