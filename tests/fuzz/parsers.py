"""Fuzz targets: the parsers of bytes that others wrote. They may raise the errors that they promise only."""

import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, BatchGetVideosResponse, GetVideoRequest
from gostream_api.principal import ANONYMOUS
from gostream_api.rpc import encoded_reads, grpc_framing, validation
from gostream_api.rpc.grpc_framing import RefusedError
from gostream_api.videos.page_tokens import page_token, position_of
from gostream_conformance.errors import ConformanceError
from gostream_conformance.formats import aac, h264, jpeg, mpegts, subtitles, webvtt
from gostream_conformance.playlist import parser, uris
from gostream_conformance.tree.fragments import measure_fragments
from gostream_shared.domain.errors import GoStreamError, PageTokenInvalidError
from gostream_shared.domain.videos.listing import VideoFilter
from gostream_worker.failures import ProcessingFailedError
from gostream_worker.probe import matroska, signature
from gostream_worker.probe.mp4 import crop, display_times, dolby_vision, sample_entries, whole_part
from gostream_worker.probe.timing import last_fragment
from gostream_worker.probe.tracks import channels
from gostream_worker.text import cues, files, formats
from tests.fuzz.reads import Reads

_NAMES = (b"te", b"grpc-encoding", b"grpc-timeout", b"x-data-bin", b"x-any")
_ENCODINGS = (None, b"identity", b"gzip", b"deflate")


def framing(data: bytes) -> None:
    """Headers and bodies of gRPC requests."""
    values = data.split(b"\n")
    headers = {b"te": b"trailers"} | dict(zip(_NAMES[1:], values, strict=False))
    with suppress(RefusedError):
        grpc_framing.check_headers(headers)
    with suppress(RefusedError):
        timeout = grpc_framing.timeout_of(headers)
        assert timeout is None or timeout > 0
    with suppress(RefusedError):
        if (missing := grpc_framing.missing(data)) <= 0:
            message = grpc_framing.message_of(data, _ENCODINGS[data[-1] % 4])
            assert len(message) <= grpc_framing.MAX_MESSAGE
            assert missing <= 0
    with suppress(RefusedError):
        text = grpc_framing.message_of(grpc_framing.framed(data), None)
        assert text == data


def requests(data: bytes) -> None:
    """Requests as the transports parse them, compared with protobuf."""
    for local, parse in (
        (encoded_reads.get_video_locally, _get_video),
        (encoded_reads.batch_get_videos_locally, _batch),
    ):
        reads = Reads()
        expected, theirs = _outcome(partial(parse, data))
        found, ours = _outcome(partial(local, reads, ANONYMOUS, data))
        if theirs is None:
            assert reads.asked == [expected], (data, reads.asked, expected)
        else:
            assert type(ours) is type(theirs), (data, ours, theirs, found)


def replies(data: bytes) -> None:
    """Encoded videos become the reply that protobuf would encode."""
    reply = BatchGetVideosResponse()
    with suppress(DecodeError):
        for payload in data.split(b"|"):
            reply.videos.add().ParseFromString(payload)
        again = encoded_reads.concatenated(video.SerializeToString() for video in reply.videos)
        assert again == reply.SerializeToString()


def _get_video(data: bytes) -> object:
    return validation.get_video(GetVideoRequest.FromString(data))


def _batch(data: bytes) -> object:
    return validation.batch_get_videos(BatchGetVideosRequest.FromString(data))


def _outcome(ask: Callable[[], object]) -> tuple[object, Exception | None]:
    try:
        return ask(), None
    except (GoStreamError, DecodeError) as error:
        return None, error


def page_tokens(data: bytes) -> None:
    """Page tokens: every accepted token was issued."""
    which = VideoFilter()
    token = data.decode("utf-8", "replace")
    with suppress(PageTokenInvalidError):
        assert page_token(position_of(token, which), which) == token


_CONFORMANCE: tuple[Callable[[bytes], Any], ...] = (
    mpegts.demux,
    webvtt.parse_cues,
    parser.parse_master,
    parser.parse_media,
    lambda data: list(uris.uris(data)),
    jpeg.jpeg_size,
    h264.picture,
    h264.is_recovery_point,
    h264.frames_to_recovery,
    h264.parse_sps,
    lambda data: list(h264.nal_units(data)),
    lambda data: list(aac.adts_frames(data)),
    subtitles.parse_text,
)


def conformance(data: bytes) -> None:
    """The validator's parsers; the first byte chooses one."""
    if data:
        with suppress(ConformanceError):
            _CONFORMANCE[data[0] % len(_CONFORMANCE)](data[1:])


def fragments(data: bytes) -> None:
    """Segments of fragmented MP4; the first two bytes are the size of the initialization section."""
    seam = int.from_bytes(data[:2], "big")
    for cut in (False, True):
        with suppress(ConformanceError):
            found = measure_fragments(data[2:], seam=min(seam, len(data[2:])), cut=cut)
            assert found.video or found.audio or found.streams
            assert all(0 <= key.offset < key.offset + key.size <= found.size for key in found.key_frames)


def texts(data: bytes) -> None:
    """The packets of text tracks: each becomes exactly one cue of WebVTT."""
    header, _, packet = data.partition(b"\xff\xff")
    for reader in (formats.subrip, formats.webvtt, formats.plain, formats.substation(header)):
        for encoded in (packet, formats.without_length(packet), b"0,0,Default,,0,0,0,," + packet):
            [text] = formats.decoded([encoded], "")
            shown = cues.cue_text(reader(text)) or "nothing"
            file = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{shown}\n\n00:03.000 --> 00:04.000\nlast\n"
            assert [cue.start for cue in subtitles.parse_text(file.encode()).cues] == [1000, 3000], shown


def text_files(data: bytes) -> None:
    """Whole files of subtitles: each cue is one of WebVTT, or the file is refused."""
    with suppress(ValueError):
        for (start, end), said in files.timed_texts(data, "de", at_most=50):
            assert isinstance(start, int)
            assert isinstance(end, int)
            file = (
                f"WEBVTT\n\n00:01.000 --> 00:02.000\n{said or 'nothing'}\n\n00:03.000 --> 00:04.000\nlast\n"
            )
            assert [cue.start for cue in subtitles.parse_text(file.encode()).cues] == [1000, 3000], said


def probe(data: bytes) -> None:
    """What the worker reads itself from the first and last bytes of a source."""
    with suppress(ProcessingFailedError):
        signature.refused_by_signature(data)
    signature.is_text(data)
    boxes = signature.boxes_of(io.BytesIO(data), len(data))
    signature.is_cut_off(boxes, len(data))
    if boxes:
        assert 0 <= whole_part.whole_by_boxes(boxes, len(data)) <= len(data)
    whole = whole_part.whole_by_tail(data, len(data))
    assert whole is None or 0 <= whole <= len(data), whole
    width, height = crop.cropped(data, 1, (640, 360))
    assert 0 < width <= 640
    assert 0 < height <= 360
    sample_entries.sound_boxes(data, 1)
    lag = display_times.display_lag(data, 1)
    assert lag is None or lag >= 0
    last_fragment.last_cluster(data)
    last_fragment.last_fragment(data, 1)
    picture = matroska.picture_at(data, 0)
    crop.trimmed(picture.borders, (640, 360))
    dolby_vision.read_configuration(picture.dolby_vision)
    for codec in ("aac", "opus"):
        channels.read_channels(codec, data, data[:16])
