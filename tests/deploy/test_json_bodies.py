"""The JSON that the read door writes is the JSON that Envoy's transcoder writes for the same messages."""

import json
from collections.abc import Callable

import pytest

from gostream.v1.video_pb2 import Video
from gostream_api.rpc.json.bodies import batch_body, video_body
from gostream_devstack.servers.envoy import Envoy
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack


def _ready() -> Video:
    video = Video(
        id="ready", user_id="u", title='Ünï <&> ✓ "q" \\ / \u2028 🙈 \x7f', status=Video.STATUS_READY
    )
    video.version, video.etag, video.width, video.height = 2**63 - 1, '"9"', 1920, 1080
    video.create_time.seconds, video.create_time.nanos = 1_700_000_000, 123_456_000
    video.update_time.seconds = 1_700_000_001
    video.ready_time.nanos = 120_000_000
    video.duration.seconds, video.duration.nanos = 61, 234_000_000
    video.source.container, video.source.size_bytes, video.source.fps = "mp4", -1, 30_000 / 1001
    video.source.codecs.extend(["h264", "aac"])
    video.renditions.add(name="1080p", width=1920, average_bandwidth=5_000_000, peak_bandwidth=2**53 + 1)
    video.renditions.add()
    video.playback_url, video.poster_url, video.storyboard_url = "http://a/b", "http://a/c?d=e&f", "x"
    return video


def _processing() -> Video:
    video = Video(id="processing", status=Video.STATUS_PROCESSING, version=-1)
    video.processing.stage, video.processing.percent, video.processing.attempt = "encode", 1 / 3, 2
    video.processing.eta.nanos = 5_000
    return video


def _failed() -> Video:
    video = Video(id="failed", status=Video.STATUS_FAILED)
    video.error.code, video.error.message, video.error.retryable = "SOURCE_BROKEN", "no\nvideo\ttrack", True
    video.source.fps = 25
    video.duration.seconds = -3
    return video


def test_bodies_equal_those_of_transcoder(start_json_edge: Callable[..., Envoy]) -> None:
    unknown = Video(status=99)  # type: ignore[arg-type]  # of a newer contract
    videos = [_ready(), _processing(), _failed(), Video(), unknown]
    envoy = start_json_edge(Replica(listed=videos))
    _, expected, _ = ask(envoy, "/v1/videos:batchGet?ids=x")

    bodies = [video_body(video.SerializeToString()) for video in videos]
    assert json.loads(batch_body(bodies)) == expected
    assert [json.loads(body) for body in bodies] == expected["videos"]
