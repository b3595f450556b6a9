"""The commands for subtitles, given a client and an output. app.py has their options."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from gostream.v1 import video_pb2
from gostream.v1.track_service_pb2 import ListTracksResponse
from gostream_cli.captions.specs import Caption
from gostream_cli.output import Output
from gostream_client import AsyncClient, GoStreamError, SourceFile

#: Seconds between two checks of tracks that are being prepared, and in all.
_PAUSE, _PATIENCE = 0.3, 120.0


async def list_tracks(client: AsyncClient, out: Output, video_id: str) -> None:
    _show(out, await client.list_tracks(video_id))


async def add(
    client: AsyncClient, out: Output, video_id: str, captions: Sequence[Caption], *, name: str, waits: bool
) -> None:
    """Add subtitles. Waits until they are published, if the video is; raises GoStreamError if one fails."""
    files = readable(captions)
    added = await send(client, video_id, captions, files, name=name)
    video = await client.get_video(video_id)
    if waits and video.status == video_pb2.Video.STATUS_READY:
        added = await _settled(client, video_id, [track.id for track in added])
    _show(out, added)
    if failed := [track for track in added if track.state == video_pb2.Track.STATE_FAILED]:
        codes = ", ".join(f"{track.language}: {track.error_code}" for track in failed)
        raise GoStreamError(f"not published: {codes}")


async def remove(client: AsyncClient, out: Output, video_id: str, track_id: str) -> None:
    await client.delete_track(video_id, track_id)
    out.note(f"removed {track_id}")


def readable(captions: Sequence[Caption]) -> list[SourceFile | None]:
    """Returns the file of each of the subtitles, None for a URL. Raises InvalidInputError."""
    return [None if caption.is_url else SourceFile(Path(caption.place)) for caption in captions]


async def send(
    client: AsyncClient,
    video_id: str,
    captions: Sequence[Caption],
    files: Sequence[SourceFile | None],
    *,
    name: str = "",
    told: Callable[[str], object] = lambda note: None,
) -> list[video_pb2.Track]:
    """Add subtitles with their files, and tell about each. Returns the tracks, which are being prepared."""
    found = []
    for caption, file in zip(captions, files, strict=True):
        if file is None:
            added = await client.add_track(
                video_id,
                language=caption.language,
                name=name,
                is_default=caption.is_default,
                is_forced=caption.is_forced,
                is_sdh=caption.is_sdh,
                source_url=caption.place,
            )
            found.append(added.track)
        else:
            track = await client.upload_track(
                video_id,
                file,
                language=caption.language,
                name=name,
                is_default=caption.is_default,
                is_forced=caption.is_forced,
                is_sdh=caption.is_sdh,
            )
            found.append(track)
        told(f"added subtitles {caption.language}: {found[-1].id}")
    return found


async def _settled(client: AsyncClient, video_id: str, ids: Sequence[str]) -> list[video_pb2.Track]:
    """Returns the tracks when none is being prepared any more, or when the time is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    while True:
        tracks = {track.id: track for track in await client.list_tracks(video_id)}
        found = [tracks[track_id] for track_id in ids if track_id in tracks]
        preparing = any(track.state == video_pb2.Track.STATE_PREPARING for track in found)
        if not preparing or loop.time() > until:
            return found
        await asyncio.sleep(_PAUSE)


def _show(out: Output, tracks: Sequence[video_pb2.Track]) -> None:
    if out.as_json:
        out.document(ListTracksResponse(tracks=tracks))
    else:
        out.tracks(tracks)
