"""The library's HTTP/2 connection, with our limits and what the short path needs to know about it."""

from collections.abc import Iterable

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy
from hpack.table import HeaderTable, table_entry_size
from hyperframe.frame import Frame, GoAwayFrame

from gostream_api.read_door import limits as most
from gostream_api.read_door.http2.header_blocks import BlockDecoder

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    # Outgoing headers are our own. A malformed list of incoming ones must end the call and not the
    # connection, which a proxy may share among clients; h2 would end the connection.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
)
_SETTINGS = {
    # Without a table, a header block has the same meaning at any time, and a header that differs in each call
    # changes no other bytes. Requests are some 150 bytes longer.
    SettingCodes.HEADER_TABLE_SIZE: 0,
    SettingCodes.MAX_CONCURRENT_STREAMS: most.MAX_STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: most.MAX_HEADER_LIST,
    SettingCodes.MAX_FRAME_SIZE: most.MAX_FRAME,
}


class CountedTable(HeaderTable):
    """HPACK's dynamic table of a decoder. Equal generations mean equal content."""

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0

    def add(self, name: bytes, value: bytes) -> None:
        """Add an entry. An entry that is larger than the table changes nothing if the table is empty."""
        if self.dynamic_entries or table_entry_size(name, value) <= self.maxsize:
            self.generation += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        """The size that the peer's encoder has chosen."""
        return int(super().maxsize)

    @maxsize.setter
    def maxsize(self, size: int) -> None:
        self.generation += 1
        HeaderTable.maxsize.fset(self, size)  # type: ignore[attr-defined]


class Http2(H2Connection):
    """One connection of a client."""

    MAX_CLOSED_STREAMS = most.MAX_CLOSED_STREAMS

    def __init__(self) -> None:
        super().__init__(_CONFIG)
        self.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self.max_inbound_frame_size = most.MAX_FRAME
        self.decoder = BlockDecoder(most.MAX_HEADER_BLOCK)
        self.received_table = self.decoder.header_table = CountedTable()
        #: The client's flow control window for requests.
        self.inbound = self._inbound_flow_control_window_manager

    @property
    def is_full(self) -> bool:
        """True if a further stream may exceed the limit; False if none can."""
        return len(self.streams) >= most.MAX_STREAMS

    @property
    def owes_table_size(self) -> bool:
        """True if the next header block that is sent must begin with a new table size."""
        return bool(self.encoder.header_table.resized)

    def note_closed(self, streams: Iterable[int]) -> None:
        """Note streams that were opened, answered and closed elsewhere."""
        for stream in streams:
            self._closed_streams[stream] = StreamClosedBy.SEND_END_STREAM

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[events.Event]]:
        # A client's GOAWAY refuses streams of the server, so its calls are still answered; h2 would drop
        # queued frames and take no further one.
        event = events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
