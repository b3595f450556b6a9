"""Measures one piece of a playlist, whatever its format."""

from gostream_conformance.errors import MalformedError
from gostream_conformance.formats.mp4.boxes import looks_fragmented
from gostream_conformance.tree.fragments import measure_fragments
from gostream_conformance.tree.presentation import Piece
from gostream_conformance.tree.segment import measure_segment


def measure_piece(piece: Piece, header: bytes, body: bytes, is_key_frame: bool) -> None:
    """Set the measure of a piece, or its problem. `header` has the bytes of its EXT-X-MAP."""
    data, seam = header + body, len(header)
    try:
        if looks_fragmented(header) or looks_fragmented(body):
            piece.measure = measure_fragments(data, seam=seam, cut=is_key_frame)
        else:
            piece.measure = measure_segment(data, seam=seam)
    except MalformedError as error:
        piece.problem = error.with_traceback(None)  # the traceback would keep the segment in memory
