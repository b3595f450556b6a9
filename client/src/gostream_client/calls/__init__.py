"""The calls of both clients: the parameters, the request and the answer of each, written once, by service.

Each function becomes a method of Client and of AsyncClient with the same parameters and docstring. `timeout`
is the deadline of the call in seconds, instead of the client's.
"""

from gostream_client.calls.admin import explain_video
from gostream_client.calls.describing import describe
from gostream_client.calls.tracks import (
    add_track,
    delete_track,
    list_tracks,
    prepare_track,
    update_track,
)
from gostream_client.calls.videos import (
    Reply,
    batch_get_videos,
    cancel_process,
    create_video,
    delete_video,
    get_playback_info,
    get_video,
    get_video_reply,
    list_videos_page,
    next_page,
    revoke_playback,
    trigger_process,
    undelete_video,
    update_video,
    watch_video,
)

__all__ = [
    "Reply",
    "add_track",
    "batch_get_videos",
    "cancel_process",
    "create_video",
    "delete_track",
    "delete_video",
    "describe",
    "explain_video",
    "get_playback_info",
    "get_video",
    "get_video_reply",
    "list_tracks",
    "list_videos_page",
    "next_page",
    "prepare_track",
    "revoke_playback",
    "trigger_process",
    "undelete_video",
    "update_track",
    "update_video",
    "watch_video",
]
