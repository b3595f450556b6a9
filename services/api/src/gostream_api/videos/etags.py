"""Etags: the version of a video, opaque to clients."""

import re

_ETAG = re.compile(r'"([0-9]{1,18})"')


def version_of(etag: str) -> int | None:
    """Returns the version of an etag; None without an etag, 0 (never a version) for an unknown etag."""
    if not etag:
        return None
    match = _ETAG.fullmatch(etag)
    return int(match[1]) if match else 0
