"""The progress of a video on the terminal."""

import io

import pytest
from rich.console import Console

from gostream.v1 import video_pb2
from gostream_cli.progress import processing_progress


@pytest.mark.parametrize("terminal", [True, False])
def test_playable_url_is_printed_once(terminal: bool) -> None:
    out = io.StringIO()
    url = "http://cdn/hls/1/v1/early.m3u8"

    with processing_progress(Console(file=out, force_terminal=terminal, width=100)) as show:
        for percent, playable in ((5, ""), (20, url), (60, url), (97, url)):
            processing = video_pb2.Processing(stage="encoding", percent=percent, playable_url=playable)
            show(video_pb2.Video(status=video_pb2.Video.STATUS_PROCESSING, processing=processing))
        show(video_pb2.Video(status=video_pb2.Video.STATUS_READY))

    assert out.getvalue().count(f"already plays: {url}") == 1
