"""Validates requests and returns arguments for the use cases.

Each function checks every field and raises one InvalidRequestError with all violations. Descriptions never
quote the request.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from uuid import UUID

from gostream.v1 import admin_service_pb2, video_pb2, video_service_pb2
from gostream_api.rpc import content_type, text
from gostream_api.rpc.fields import limits, times
from gostream_api.rpc.fields.check import Check
from gostream_api.rpc.fields.labels import labels, listed_labels
from gostream_api.rpc.fields.loudness import is_loudness, loudness_of
from gostream_api.rpc.fields.options import encode_options
from gostream_api.rpc.fields.words import words
from gostream_api.videos.video_service import VideoDraft
from gostream_shared.domain import profiles
from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.errors import InvalidRequestError
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import VideoChanges
from gostream_shared.domain.video import MediaKind, VideoStatus
from gostream_shared.domain.videos.listing import VideoFilter
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import EncodeOptions
from gostream_shared.egress.guard import MAX_URL

#: The fields that UpdateVideo changes, with their names in the domain.
_UPDATABLE = {
    "title": "title",
    "labels": "labels",
    "external_id": "external_id",
    "expire_time": "expires_at",
    "playback_policy": "playback_policy",
}

_KINDS = {video_pb2.MediaKind.Value(f"MEDIA_KIND_{kind}"): kind for kind in MediaKind}
_CANONICAL = "must be a UUID in its canonical lower-case form"
_ID_LENGTH = 36
CANONICAL_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """The rule for size_bytes: 1 to `most`; it may be absent unless `required`."""

    most: int
    required: bool


def create_video(
    request: video_service_pb2.CreateVideoRequest, sizes: SizeRule, *, signs: bool
) -> VideoDraft:
    """`signs`: the server has keys for PlaybackPolicy SIGNED."""
    check = Check()
    policy = _policy(check, request.playback_policy, "playback_policy", signs=signs)
    media_type = content_type.normalized(request.content_type)
    check.that(not text.is_blank(request.title), "title", "must not be blank")
    check.text(request.title, "title", at_most=limits.MAX_TITLE)
    check.text(request.user_id, "user_id", at_most=limits.MAX_USER_ID)
    check.text(request.request_id, "request_id", at_most=limits.MAX_REQUEST_ID)
    check.text(request.external_id, "external_id", at_most=limits.MAX_EXTERNAL_ID)
    given = labels(check, request.labels, "labels")
    check.that(
        media_type is not None,
        "content_type",
        "must be video/… or audio/…, with parameters or without, or application/octet-stream",
    )
    source = _source(check, request)
    if source is None:
        check.that(
            int(sizes.required) <= request.size_bytes <= sizes.most,
            "size_bytes",
            f"must be the exact size of the upload in bytes, at most {sizes.most}"
            + ("" if sizes.required else ", or 0 for unknown"),
        )
    profile = _profile(check, request.process, "process.profile")
    options = encode_options(check.that, request.process, "process")
    _check_loudness(check, request.process, "process.loudness")
    check.end()
    return VideoDraft(
        title=request.title,
        user_id=request.user_id,
        content_type=media_type or content_type.DEFAULT,
        size_bytes=request.size_bytes or None,
        request_id=request.request_id or None,
        playback_policy=policy or PlaybackPolicy.PUBLIC,
        labels=given,
        external_id=request.external_id,
        source=source,
        profile=profile,
        options=options,
        loudness=loudness_of(request.process.loudness),
    )


def _source(check: Check, request: video_service_pb2.CreateVideoRequest) -> RemoteSource | None:
    """Returns None for a source that is uploaded. Whether the server admits the URL or key is not checked."""
    url, key = request.source_url, request.source_key
    if not (url or key):
        check.that(not request.HasField("process"), "process", "must be absent; call TriggerProcess instead")
        return None
    check.that(not (url and key), "source_key", "must be absent if source_url is set")
    check.that(request.size_bytes == 0, "size_bytes", "must be absent if source_url or source_key is set")
    check.that(len(url) <= MAX_URL, "source_url", f"must have at most {MAX_URL} characters")
    check.that(len(key.encode()) <= limits.MAX_KEY, "source_key", f"must have at most {limits.MAX_KEY} bytes")
    return RemoteSource(url="" if key else url, key=key)


def _profile(check: Check, options: video_service_pb2.ProcessOptions, name: str) -> str:
    profile = options.profile or profiles.DEFAULT
    known = ", ".join(sorted(profiles.NAMES))
    check.that(profile in profiles.NAMES, name, f"must be one of: {known}")
    return profile


def _check_loudness(check: Check, options: video_service_pb2.ProcessOptions, name: str) -> None:
    check.that(is_loudness(options.loudness), name, "must be one of the known targets")


def update_video(request: video_service_pb2.UpdateVideoRequest, *, signs: bool) -> tuple[UUID, VideoChanges]:
    """Returns the video id and the new values. Without a mask, the fields that are set are changed."""
    check, video = Check(), request.video
    video_id = _id(check, video.id, "video.id")
    paths = set(request.update_mask.paths)
    if not paths:
        paths = {field.name for field, _ in video.ListFields()} & set(_UPDATABLE)
    check.that(bool(paths), "update_mask", f"must name a field: {', '.join(_UPDATABLE)}")
    check.that(paths <= set(_UPDATABLE), "update_mask", f"may name only: {', '.join(_UPDATABLE)}")
    if "title" in paths:
        check.that(not text.is_blank(video.title), "video.title", "must not be blank")
        check.text(video.title, "video.title", at_most=limits.MAX_TITLE)
    if "external_id" in paths:
        check.text(video.external_id, "video.external_id", at_most=limits.MAX_EXTERNAL_ID)
    expires_at = None
    if "expire_time" in paths and video.HasField("expire_time"):
        expires_at = times.expiry(check, video.expire_time, "video.expire_time")
    policy = _policy(check, video.playback_policy, "video.playback_policy", signs=signs)
    if "playback_policy" in paths:
        check.that(bool(video.playback_policy), "video.playback_policy", "must be set")
    given = labels(check, video.labels, "video.labels") if "labels" in paths else {}
    check.end()
    return video_id, VideoChanges(
        fields=frozenset(_UPDATABLE[path] for path in paths),
        title=video.title,
        labels=given,
        external_id=video.external_id,
        expires_at=expires_at,
        playback_policy=policy or PlaybackPolicy.PUBLIC,
    )


def get_playback_info(
    request: video_service_pb2.GetPlaybackInfoRequest,
) -> tuple[UUID, timedelta | None]:
    """Returns the video id and the validity of signed URLs; None = the default."""
    check = Check()
    video_id = _id(check, request.id)
    ttl = timedelta(0)
    if request.HasField("ttl"):
        with suppress(OverflowError, ValueError):
            ttl = request.ttl.ToTimedelta()
        least, most = limits.MIN_TOKEN_TTL, limits.MAX_TOKEN_TTL
        check.that(least <= ttl <= most, "ttl", "must be 1 minute to 7 days")
    check.end()
    return video_id, ttl or None


def trigger_process(
    request: video_service_pb2.TriggerProcessRequest,
) -> tuple[UUID, str, LoudnessTarget | None, EncodeOptions, str | None]:
    """Returns the video id, the profile, the loudness, the other options and the request_id."""
    check = Check()
    video_id = _id(check, request.id)
    profile = _profile(check, request.options, "options.profile")
    _check_loudness(check, request.options, "options.loudness")
    options = encode_options(check.that, request.options, "options")
    check.text(request.request_id, "request_id", at_most=limits.MAX_REQUEST_ID)
    check.end()
    return video_id, profile, loudness_of(request.options.loudness), options, request.request_id or None


def get_video(request: video_service_pb2.GetVideoRequest) -> tuple[UUID, int]:
    """Returns the video id and min_version."""
    check = Check()
    video_id = _id(check, request.id)
    check.that(request.min_version >= 0, "min_version", "must not be negative")
    check.end()
    return video_id, request.min_version


def batch_get_videos(request: video_service_pb2.BatchGetVideosRequest) -> list[UUID]:
    """Returns the video ids in the order of the request. The error lists the first few wrong ids."""
    ids = request.ids
    check = Check()
    check.that(0 < len(ids) <= limits.MAX_BATCH, "ids", f"must be 1 to {limits.MAX_BATCH} ids")
    check.end()
    parsed = [canonical_id(text) for text in ids]
    found = [each for each in parsed if each is not None]
    if len(found) == len(ids):
        return found
    wrong = (position for position, each in enumerate(parsed) if each is None)
    for position in islice(wrong, limits.MAX_WRONG_IDS):
        check.that(False, f"ids[{position}]", _CANONICAL)
    raise InvalidRequestError(*check.violations)


def list_videos(request: video_service_pb2.ListVideosRequest) -> tuple[VideoFilter, int]:
    """Returns the filter and the page size, which is limited to MAX_PAGE_SIZE."""
    check = Check()
    check.text(request.user_id, "user_id", at_most=limits.MAX_USER_ID)
    check.text(request.external_id, "external_id", at_most=limits.MAX_EXTERNAL_ID)
    check.that(
        request.status in video_pb2.Video.Status.values(), "status", "must be one of the known statuses"
    )
    check.that(
        request.media_kind in video_pb2.MediaKind.values(), "media_kind", "must be one of the known kinds"
    )
    check.that(request.page_size >= 0, "page_size", "must not be negative")
    wanted = listed_labels(check, request.labels)
    title = words(check, request.title)
    bounds = [
        times.bound(check, getattr(request, name), name) if request.HasField(name) else None
        for name in ("created_after", "created_before")
    ]
    check.end()
    which = VideoFilter(
        user_id=request.user_id or None,
        status=_status(request.status),
        external_id=request.external_id or None,
        labels=wanted,
        words=title,
        created_from=bounds[0],
        created_until=bounds[1],
        media_kind=_KINDS.get(request.media_kind),
        with_deleted=request.show_deleted,
    )
    return which, min(request.page_size or limits.DEFAULT_PAGE_SIZE, limits.MAX_PAGE_SIZE)


def video_id(
    request: video_service_pb2.CancelProcessRequest
    | video_service_pb2.DeleteVideoRequest
    | video_service_pb2.RevokePlaybackRequest
    | video_service_pb2.UndeleteVideoRequest
    | video_service_pb2.WatchVideoRequest
    | admin_service_pb2.ExplainVideoRequest,
) -> UUID:
    check = Check()
    found = _id(check, request.id)
    check.end()
    return found


def _id(check: Check, text: str, name: str = "id") -> UUID:
    """Returns the id, or a placeholder after adding a violation to `check`."""
    found = canonical_id(text)
    check.that(found is not None, name, _CANONICAL)
    return found or UUID(int=0)


def canonical_id(text: str) -> UUID | None:
    """Returns the id, or None unless the text is canonical."""
    return _known(text) if len(text) == _ID_LENGTH else None


@lru_cache(maxsize=8192)
def _known(text: str) -> UUID | None:
    """Parse a text of the right length, which bounds the memory of this cache. Clients repeat hot ids."""
    return UUID(text) if CANONICAL_ID.fullmatch(text) else None


def _policy(
    check: Check, policy: video_pb2.PlaybackPolicy.ValueType, name: str, *, signs: bool
) -> PlaybackPolicy | None:
    """Returns None for an unset policy, and for a wrong one after adding a violation to `check`."""
    known = policy in video_pb2.PlaybackPolicy.values()
    check.that(known, name, "must be one of the known policies")
    if not known or policy == video_pb2.PLAYBACK_POLICY_UNSPECIFIED:
        return None
    found = PlaybackPolicy(video_pb2.PlaybackPolicy.Name(policy).removeprefix("PLAYBACK_POLICY_"))
    check.that(
        signs or found is not PlaybackPolicy.SIGNED,
        name,
        "must not be SIGNED: this server has no signing keys",
    )
    return found


def _status(status: video_pb2.Video.Status.ValueType) -> VideoStatus | None:
    if status == video_pb2.Video.STATUS_UNSPECIFIED:
        return None
    return VideoStatus(video_pb2.Video.Status.Name(status).removeprefix("STATUS_"))
