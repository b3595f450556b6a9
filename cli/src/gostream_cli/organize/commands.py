"""The commands for existing videos, given a client and an output. app.py has their options."""

import asyncio
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from gostream.v1 import video_pb2
from gostream.v1.video_service_pb2 import ListVideosResponse
from gostream_cli.output import Output
from gostream_client import AsyncClient, EtagMismatchError, InvalidInputError

#: The largest page of ListVideos.
_PAGE_LIMIT = 1000
#: Pauses in seconds before labels are read again, after another caller has changed the video.
_PAUSES = (0.1, 0.2, 0.4, 0.8)


async def list_videos(
    client: AsyncClient, out: Output, *, limit: int, page_token: str, **filters: Any
) -> None:
    """List up to `limit` videos, from as many pages as needed. `filters`: those of list_videos_page()."""
    found = ListVideosResponse(next_page_token=page_token)
    while len(found.videos) < limit:
        page = await client.list_videos_page(
            page_size=min(limit - len(found.videos), _PAGE_LIMIT),
            page_token=found.next_page_token,
            **filters,
        )
        found.videos.extend(page.videos)
        found.next_page_token = page.next_page_token
        if not page.next_page_token:
            break
    if out.as_json:
        out.document(found)
        return
    out.videos(found.videos)
    if not found.videos:
        out.note("no videos")
    if found.next_page_token:
        out.note(f"more: --page-token {found.next_page_token}")


async def update(
    client: AsyncClient,
    out: Output,
    video_id: str,
    *,
    labels: Mapping[str, str],
    removed: Sequence[str],
    etag: str,
    **changes: Any,
) -> None:
    """Change a video. `labels` are added, and those with the keys of `removed` taken away; `changes`: the
    other fields of update_video().
    """
    if labels or removed:
        out.video(await _relabelled(client, video_id, labels, removed, etag, changes))
    else:
        out.video(await client.update_video(video_id, etag=etag, **changes))


async def _relabelled(
    client: AsyncClient,
    video_id: str,
    labels: Mapping[str, str],
    removed: Sequence[str],
    etag: str,
    changes: Mapping[str, Any],
) -> video_pb2.Video:
    """Reads the labels and replaces them, unless another caller changed the video in between.

    Without `etag`, reads again then. Raises EtagMismatchError after the last time.
    """
    for pause in (*_PAUSES, None):
        video = await client.get_video(video_id)
        if etag and etag != video.etag:
            raise EtagMismatchError("the video has changed since the etag was read; nothing was changed")
        kept = {key: value for key, value in video.labels.items() if key not in removed}
        try:
            return await client.update_video(video_id, labels={**kept, **labels}, etag=video.etag, **changes)
        except EtagMismatchError:
            if etag or pause is None:
                raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
    raise AssertionError


async def remove(client: AsyncClient, out: Output, video_id: str, *, permanent: bool) -> None:
    await client.delete_video(video_id, permanent=permanent)
    if out.as_json:
        out.plain("{}")  # google.protobuf.Empty, as the JSON edge writes it
    elif permanent:
        out.note(f"deleted {video_id} permanently")
    else:
        out.note(f"deleted {video_id}; for a while, gostream undelete {video_id} restores it")


def confirm_removal(video_id: str, *, permanent: bool) -> None:
    """Ask for confirmation. Raises InvalidInputError if the answer is no or stdin is not a terminal."""
    if sys.stdin is None or not sys.stdin.isatty():  # None: closed
        raise InvalidInputError("rm needs --yes if stdin is not a terminal")
    what = f"Delete {video_id} and its files, without undelete?" if permanent else f"Delete {video_id}?"
    if not typer.confirm(what, err=True):
        raise InvalidInputError("nothing was deleted")


async def undelete(client: AsyncClient, out: Output, video_id: str, *, etag: str) -> None:
    out.video(await client.undelete_video(video_id, etag=etag))
