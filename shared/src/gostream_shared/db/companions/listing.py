"""The statement of a listing."""

from collections.abc import Iterator
from dataclasses import dataclass

from gostream_shared.db.rows import VIDEO_COLUMNS
from gostream_shared.domain.videos.listing import Position, VideoFilter

_ORDER = "ORDER BY created_at DESC, id DESC"
_LIVE, _DELETED = "deleted_at IS NULL", "undelete_until > now()"


@dataclass(frozen=True, slots=True)
class Listing:
    """A statement and its arguments.

    `is_search`: the best plan depends on the arguments, because it depends on how many videos match.
    """

    sql: str
    arguments: list[object]
    is_search: bool


def listing(which: VideoFilter, *, limit: int, after: Position | None) -> Listing:
    """Returns the statement of a page."""
    arguments: list[object] = []
    conditions = list(_conditions(which, after, arguments))
    arguments.append(limit)
    end = f"{_ORDER} LIMIT ${len(arguments)}"
    sql = _select([_LIVE, *conditions], end)
    if which.with_deleted:  # one scan of the live videos' index and one of the deleted videos' index
        both = f"({sql}) UNION ALL ({_select([_DELETED, *conditions], end)})"
        sql = f"SELECT {VIDEO_COLUMNS} FROM ({both}) AS found {end}"
    return Listing(sql, arguments, is_search=bool(which.labels or which.words))


def _select(conditions: list[str], end: str) -> str:
    return f"SELECT {VIDEO_COLUMNS} FROM videos WHERE {' AND '.join(conditions)} {end}"


def _conditions(which: VideoFilter, after: Position | None, arguments: list[object]) -> Iterator[str]:
    """Yields the conditions and adds their arguments."""

    def argument(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    if which.user_id is not None:
        yield f"user_id = {argument(which.user_id)}"
    if which.status is not None:
        yield f"status = {argument(which.status.value)}"
    if which.external_id is not None:
        yield f"external_id = {argument(which.external_id)}"
    if which.labels:
        # The first condition is that of the partial index.
        yield f"label_terms <> '{{}}' AND label_terms @> {argument(list(which.labels))}::text[]"
    for word in which.words:
        pattern = argument(_containing(word))
        yield f"title ILIKE {pattern}" if word.isascii() else f"title_key LIKE title_key_of({pattern})"
    if which.media_kind is not None:
        # The condition and the expression of the indexes. Encodes of earlier releases are films.
        kind = "coalesce(publication ->> 'media_kind', 'VIDEO')"
        yield f"publication IS NOT NULL AND {kind} = {argument(which.media_kind.value)}"
    if which.created_from is not None:
        yield f"created_at >= {argument(which.created_from)}"
    if which.created_until is not None:
        yield f"created_at < {argument(which.created_until)}"
    if after is not None:
        yield f"(created_at, id) < ({argument(after.created_at)}, {argument(after.id)})"


def _containing(word: str) -> str:
    """Returns the pattern of a text that contains the word."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
