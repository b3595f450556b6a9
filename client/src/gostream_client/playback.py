"""The calls that decide who may play a video, and the URLs that play it."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from gostream.v1 import video_pb2, video_service_pb2

#: The names that callers use, without the prefix and in lower case.
POLICIES = ("public", "signed", "off")


def policy_number(name: str) -> video_pb2.PlaybackPolicy.ValueType:
    """Returns the policy of a name among POLICIES; empty = the server's default. Raises ValueError."""
    return video_pb2.PlaybackPolicy.Value(f"PLAYBACK_POLICY_{name.upper() or 'UNSPECIFIED'}")


def policy_name(video: video_pb2.Video) -> str:
    """Returns the policy of a video, one of POLICIES; empty if the server did not send any."""
    name = video_pb2.PlaybackPolicy.Name(video.playback_policy).removeprefix("PLAYBACK_POLICY_").lower()
    return name if name in POLICIES else ""


def update_request(video_id: str, *, policy: str) -> video_service_pb2.UpdateVideoRequest:
    """Returns the request that sets the policy."""
    video = video_pb2.Video(id=video_id, playback_policy=policy_number(policy))
    mask = FieldMask(paths=["playback_policy"])
    return video_service_pb2.UpdateVideoRequest(video=video, update_mask=mask)


def info_request(video_id: str, ttl: timedelta | None) -> video_service_pb2.GetPlaybackInfoRequest:
    """Returns the request of the URLs; `ttl` = None: the server's default validity."""
    request = video_service_pb2.GetPlaybackInfoRequest(id=video_id)
    if ttl is not None:
        request.ttl.CopyFrom(Duration(seconds=int(ttl.total_seconds())))
    return request
