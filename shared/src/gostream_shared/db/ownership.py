"""Gives videos of one owner to another, for videos that were created before callers authenticated."""

import asyncpg

#: Videos per transaction, so that no other write waits long.
_BATCH = 500
_TIMEOUT = 60.0

# Request ids belong to the caller that used them, so the new owner starts without any.
_ASSIGN = """UPDATE videos SET user_id = $2, request_id = NULL WHERE id IN (
  SELECT id FROM videos WHERE user_id = $1 AND deleted_at IS NULL LIMIT $3 FOR UPDATE
)"""


async def assign_owner(database_url: str, old: str, new: str) -> int:
    """Give the videos of the user_id `old` to `new`. Returns their number.

    Each video gets a new version, so caches follow as after any write. An interrupted run can be repeated.
    """
    if old == new:
        return 0
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=_TIMEOUT)
    try:
        total = 0
        while count := int((await connection.execute(_ASSIGN, old, new, _BATCH)).rpartition(" ")[2]):
            total += count
        return total
    finally:
        await connection.close()
