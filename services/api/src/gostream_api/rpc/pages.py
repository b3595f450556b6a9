"""The response of ListVideos, from the rows of a page to its bytes."""

from collections.abc import Sequence

from gostream.v1.video_service_pb2 import ListVideosResponse
from gostream_api.rpc.convert import encode_video
from gostream_api.rpc.encoded_reads import concatenated
from gostream_shared.concurrency import map_in_slices
from gostream_shared.domain.videos.listing import ListedVideo, State

#: Bytes of overhead per row: its state and the dictionary slot.
_OVERHEAD = 400


class PageEncoder:
    """Encodes pages. Keeps the latest encoded rows, because most pages are read again.

    A row is kept by its state, so it is never out of date: another state of the video is another row.
    """

    def __init__(self, cdn_base_url: str, *, max_bytes: int = 8 * 2**20) -> None:
        self._cdn_base_url = cdn_base_url
        self._max_bytes = max_bytes
        self._rows: dict[State, bytes] = {}  # the oldest one first
        self._bytes = 0

    async def encode(self, page: Sequence[ListedVideo], next_token: str) -> bytes:
        """Returns an encoded ListVideosResponse. Other tasks run between the slices of a large page."""
        payloads = await map_in_slices(self._encode_row, page)
        return concatenated(payloads) + ListVideosResponse(next_page_token=next_token).SerializeToString()

    def _encode_row(self, row: ListedVideo) -> bytes:
        kept = self._rows.get(row.state)
        if kept is not None:
            return kept
        payload = encode_video(row.load(), self._cdn_base_url)
        self._rows[row.state] = payload
        self._bytes += _OVERHEAD + len(payload)
        while self._bytes > self._max_bytes:
            self._bytes -= _OVERHEAD + len(self._rows.pop(next(iter(self._rows))))
        return payload
