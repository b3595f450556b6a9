"""The tracks of a video besides the picture: those of its source, and added ones."""

import enum
from dataclasses import dataclass


class TrackKind(enum.StrEnum):
    """What a track carries. The names are those of the API's enum without the prefix."""

    AUDIO = "AUDIO"
    SUBTITLES = "SUBTITLES"
    CHAPTERS = "CHAPTERS"
    VIDEO = "VIDEO"  # a picture besides the published one


class TrackState(enum.StrEnum):
    """Where a track is in its life. The names are those of the API's enum without the prefix."""

    PREPARING = "PREPARING"
    READY = "READY"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class TrackCode(enum.StrEnum):
    """Why a track is not published. The codes are part of the API."""

    EMPTY_TRACK = "EMPTY_TRACK"
    UNSUPPORTED_AUDIO = "UNSUPPORTED_AUDIO"
    UNREADABLE_AUDIO = "UNREADABLE_AUDIO"
    IMAGE_SUBTITLES = "IMAGE_SUBTITLES"
    UNSUPPORTED_SUBTITLES = "UNSUPPORTED_SUBTITLES"
    UNREADABLE_SUBTITLES = "UNREADABLE_SUBTITLES"
    SUBTITLES_TOO_LARGE = "SUBTITLES_TOO_LARGE"
    UNSUPPORTED_CHAPTERS = "UNSUPPORTED_CHAPTERS"
    SECOND_PICTURE = "SECOND_PICTURE"
    TOO_MANY_TRACKS = "TOO_MANY_TRACKS"
    # Of added tracks only.
    SOURCE_GONE = "SOURCE_GONE"
    SOURCE_UNREACHABLE = "SOURCE_UNREACHABLE"
    SOURCE_URL_REFUSED = "SOURCE_URL_REFUSED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One track. `id` is unique within the video; `language` is a BCP 47 tag, empty if unknown.

    `channels`: of a published sound as published, otherwise as in the source; 0 = unknown. `error_code` is a
    TrackCode unless the track is PREPARING or READY. `path` is that of the WebVTT file below hls/{id}/.
    """

    id: str
    kind: TrackKind
    state: TrackState
    language: str = ""
    name: str = ""
    is_default: bool = False
    is_forced: bool = False
    is_sdh: bool = False
    is_embedded: bool = True
    channels: int = 0
    error_code: str = ""
    path: str | None = None
