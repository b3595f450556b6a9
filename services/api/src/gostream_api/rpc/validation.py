"""Validates requests and returns arguments for the use cases.

Each function checks every field and raises one InvalidRequestError with all violations. Descriptions never
quote the request.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from uuid import UUID

from gostream.v1 import video_pb2, video_service_pb2
from gostream_api.rpc import content_type, text
from gostream_api.videos.video_service import VideoDraft
from gostream_shared.domain import profiles
from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.errors import InvalidRequestError, Violation
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import VideoChanges, VideoFilter
from gostream_shared.domain.video import VideoStatus
from gostream_shared.egress.guard import MAX_URL

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_BATCH = 100
#: Largest number of wrong ids in the error of one batch; more would exceed a client's metadata limit.
_MAX_WRONG_IDS = 10
MAX_TITLE = 200
MAX_USER_ID = 128
MAX_REQUEST_ID = 128
#: The longest key of an object in bytes (S3).
MAX_KEY = 1024
MIN_TOKEN_TTL, MAX_TOKEN_TTL = timedelta(minutes=1), timedelta(days=7)
#: The fields that UpdateVideo changes.
_UPDATABLE = ("playback_policy",)

_CANONICAL = "must be a UUID in its canonical lower-case form"
_ID_LENGTH = 36
CANONICAL_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class _Check:
    """Collects violations."""

    violations: list[Violation] = field(default_factory=list)

    def that(self, holds: bool, name: str, description: str) -> None:
        if not holds:
            self.violations.append(Violation(name, description))

    def text(self, value: str, name: str, *, at_most: int) -> None:
        self.that(len(value) <= at_most, name, f"must have at most {at_most} characters")
        self.that(not text.has_control(value), name, "must not contain control characters")
        self.that(not text.has_invisible(value), name, "must not contain invisible or reordering characters")

    def end(self) -> None:
        if self.violations:
            raise InvalidRequestError(*self.violations)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """The rule for size_bytes: 1 to `most`; it may be absent unless `required`."""

    most: int
    required: bool


def create_video(
    request: video_service_pb2.CreateVideoRequest, sizes: SizeRule, *, signs: bool
) -> VideoDraft:
    """`signs`: the server has keys for PlaybackPolicy SIGNED."""
    check = _Check()
    policy = _policy(check, request.playback_policy, "playback_policy", signs=signs)
    media_type = content_type.normalized(request.content_type)
    check.that(not text.is_blank(request.title), "title", "must not be blank")
    check.text(request.title, "title", at_most=MAX_TITLE)
    check.text(request.user_id, "user_id", at_most=MAX_USER_ID)
    check.text(request.request_id, "request_id", at_most=MAX_REQUEST_ID)
    check.that(
        media_type is not None,
        "content_type",
        "must be video/…, with parameters or without, or application/octet-stream",
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
    check.end()
    return VideoDraft(
        title=request.title,
        user_id=request.user_id,
        content_type=media_type or content_type.DEFAULT,
        size_bytes=request.size_bytes or None,
        request_id=request.request_id or None,
        playback_policy=policy or PlaybackPolicy.PUBLIC,
        source=source,
        profile=profile,
    )


def _source(check: _Check, request: video_service_pb2.CreateVideoRequest) -> RemoteSource | None:
    """Returns None for a source that is uploaded. Whether the server admits the URL or key is not checked."""
    url, key = request.source_url, request.source_key
    if not (url or key):
        check.that(not request.HasField("process"), "process", "must be absent; call TriggerProcess instead")
        return None
    check.that(not (url and key), "source_key", "must be absent if source_url is set")
    check.that(request.size_bytes == 0, "size_bytes", "must be absent if source_url or source_key is set")
    check.that(len(url) <= MAX_URL, "source_url", f"must have at most {MAX_URL} characters")
    check.that(len(key.encode()) <= MAX_KEY, "source_key", f"must have at most {MAX_KEY} bytes")
    return RemoteSource(url="" if key else url, key=key)


def _profile(check: _Check, options: video_service_pb2.ProcessOptions, name: str) -> str:
    profile = options.profile or profiles.DEFAULT
    known = ", ".join(sorted(profiles.NAMES))
    check.that(profile in profiles.NAMES, name, f"must be one of: {known}")
    return profile


def update_video(request: video_service_pb2.UpdateVideoRequest, *, signs: bool) -> tuple[UUID, VideoChanges]:
    """Returns the video id and the new values. Without a mask, the fields that are set are changed."""
    check = _Check()
    video_id = _id(check, request.video.id, "video.id")
    paths = list(request.update_mask.paths)
    if not paths:
        paths = [name for name in _UPDATABLE if getattr(request.video, name)]
    check.that(bool(paths), "update_mask", f"must name a field: {', '.join(_UPDATABLE)}")
    check.that(set(paths) <= set(_UPDATABLE), "update_mask", f"may name only: {', '.join(_UPDATABLE)}")
    policy = _policy(check, request.video.playback_policy, "video.playback_policy", signs=signs)
    if "playback_policy" in paths:
        check.that(bool(request.video.playback_policy), "video.playback_policy", "must be set")
    check.end()
    return video_id, VideoChanges(playback_policy=policy or PlaybackPolicy.PUBLIC)


def get_playback_info(
    request: video_service_pb2.GetPlaybackInfoRequest,
) -> tuple[UUID, timedelta | None]:
    """Returns the video id and the validity of signed URLs; None = the default."""
    check = _Check()
    video_id = _id(check, request.id)
    ttl = timedelta(0)
    if request.HasField("ttl"):
        with suppress(OverflowError, ValueError):
            ttl = request.ttl.ToTimedelta()
        least, most = MIN_TOKEN_TTL, MAX_TOKEN_TTL
        check.that(least <= ttl <= most, "ttl", "must be 1 minute to 7 days")
    check.end()
    return video_id, ttl or None


def trigger_process(request: video_service_pb2.TriggerProcessRequest) -> tuple[UUID, str, str | None]:
    """Returns the video id, the profile and the request_id."""
    check = _Check()
    video_id = _id(check, request.id)
    profile = _profile(check, request.options, "options.profile")
    check.text(request.request_id, "request_id", at_most=MAX_REQUEST_ID)
    check.end()
    return video_id, profile, request.request_id or None


def get_video(request: video_service_pb2.GetVideoRequest) -> tuple[UUID, int]:
    """Returns the video id and min_version."""
    check = _Check()
    video_id = _id(check, request.id)
    check.that(request.min_version >= 0, "min_version", "must not be negative")
    check.end()
    return video_id, request.min_version


def batch_get_videos(request: video_service_pb2.BatchGetVideosRequest) -> list[UUID]:
    """Returns the video ids in the order of the request. The error lists the first few wrong ids."""
    ids = request.ids
    check = _Check()
    check.that(0 < len(ids) <= MAX_BATCH, "ids", f"must be 1 to {MAX_BATCH} ids")
    check.end()
    parsed = [canonical_id(text) for text in ids]
    found = [each for each in parsed if each is not None]
    if len(found) == len(ids):
        return found
    wrong = (position for position, each in enumerate(parsed) if each is None)
    for position in islice(wrong, _MAX_WRONG_IDS):
        check.that(False, f"ids[{position}]", _CANONICAL)
    raise InvalidRequestError(*check.violations)


def list_videos(request: video_service_pb2.ListVideosRequest) -> tuple[VideoFilter, int]:
    """Returns the filter and the page size, which is limited to MAX_PAGE_SIZE."""
    check = _Check()
    check.text(request.user_id, "user_id", at_most=MAX_USER_ID)
    check.that(
        request.status in video_pb2.Video.Status.values(), "status", "must be one of the known statuses"
    )
    check.that(request.page_size >= 0, "page_size", "must not be negative")
    check.end()
    status = _status(request.status)
    size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return VideoFilter(user_id=request.user_id or None, status=status), size


def video_id(
    request: video_service_pb2.CancelProcessRequest
    | video_service_pb2.DeleteVideoRequest
    | video_service_pb2.RevokePlaybackRequest
    | video_service_pb2.WatchVideoRequest,
) -> UUID:
    check = _Check()
    found = _id(check, request.id)
    check.end()
    return found


def _id(check: _Check, text: str, name: str = "id") -> UUID:
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
    check: _Check, policy: video_pb2.PlaybackPolicy.ValueType, name: str, *, signs: bool
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
