"""Converts rows to domain values. JSON columns hold domain dataclasses, which pydantic reads and writes."""

import json
from collections.abc import Mapping

import asyncpg
from pydantic import TypeAdapter

from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.video import Failure, Publication, Video, VideoStatus
from gostream_shared.domain.videos.options import EncodeOptions

_publication = TypeAdapter(Publication)
_failure = TypeAdapter(Failure)
_options = TypeAdapter(EncodeOptions)

#: The columns that `video_from_row` needs.
VIDEO_COLUMNS = """id, user_id, title, status, version, content_type, created_at, updated_at, ready_at,
  encode_number, attempt, published_number, playable_number, publication, failure, playback_policy,
  playback_epoch, labels, external_id, expires_at, deleted_at"""


def video_from_row(row: asyncpg.Record) -> Video:
    publication, failure = row["publication"], row["failure"]
    return Video(
        id=row["id"],
        user_id=row["user_id"],
        title=row["title"],
        status=VideoStatus(row["status"]),
        version=row["version"],
        content_type=row["content_type"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        ready_at=row["ready_at"],
        encode_number=row["encode_number"],
        attempt=row["attempt"],
        published_number=row["published_number"],
        playable_number=row["playable_number"],
        publication=_publication.validate_json(publication) if publication else None,
        failure=_failure.validate_json(failure) if failure else None,
        playback_policy=PlaybackPolicy(row["playback_policy"]),
        playback_epoch=row["playback_epoch"],
        labels=json.loads(row["labels"]) if row["labels"] != "{}" else {},
        external_id=row["external_id"] or "",
        expires_at=row["expires_at"],
        deleted_at=row["deleted_at"],
    )


def publication_json(publication: Publication) -> str:
    return _publication.dump_json(publication).decode()


def options_json(options: EncodeOptions) -> str:
    """Returns the options that are not the defaults, so that equal options are equal JSON."""
    return _options.dump_json(options, exclude_defaults=True).decode()


def options_from(text: str) -> EncodeOptions:
    return _options.validate_json(text)


def labels_json(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(labels))


def failure_json(failure: Failure) -> str:
    return _failure.dump_json(failure).decode()
