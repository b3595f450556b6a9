"""The output of the commands: documents on stdout, notes and errors on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gostream.v1 import video_pb2, video_service_pb2
from gostream_cli.errors import document, hint
from gostream_client import GoStreamError, kind_name, policy_name, status_name

_UNBOUNDED = 10_000
_STATUS_STYLES = {
    "READY": "green",
    "FAILED": "red",
    "PROCESSING": "yellow",
    "CANCELLED": "dim",
    "DELETED": "dim",
}


class Output:
    """The output of a command. With `as_json`, stdout has JSON Lines only: one document per line.

    Only a terminal gets colours, tables and bars; a pipe gets plain, tab-separated text.
    """

    def __init__(
        self, *, as_json: bool, stdout: Console | None = None, stderr: Console | None = None
    ) -> None:
        self.as_json = as_json
        self.stdout = stdout or Console(soft_wrap=True, highlight=False)
        self.stdout.width = _UNBOUNDED  # the terminal wraps ids and URLs, which rich would cut
        self.stderr = stderr or Console(file=_stderr(), soft_wrap=True, highlight=False)

    def document(self, message: Message) -> None:
        """Print a message on one line, in the format of the JSON edge."""
        self.plain(
            MessageToJson(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                indent=None,
            )
        )

    def plain(self, text: str) -> None:
        """Print one line or document unchanged on stdout."""
        # Bypasses rich, which replaces tabs by spaces; flushes, because the reader of a stream waits for the
        # line.
        try:
            print(text, file=self.stdout.file, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            # Otherwise the interpreter would flush the rest at exit and fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.file.fileno())
            raise GoStreamError(f"the output cannot be written: {error.strerror or error}") from None

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        self.stderr.print(Text(text, style="dim"))

    def error(self, error: GoStreamError) -> None:
        if self.as_json:
            print(json.dumps(document(error)), file=self.stderr.file, flush=True)
        else:
            self.stderr.print(Text.assemble(("gostream: ", "bold red"), f"{error}{hint(error)}"))

    def video(self, video: video_pb2.Video) -> None:
        """Print all fields of a video."""
        if self.as_json:
            self.document(video)
        else:
            self._rows(facts(video))

    def playback(self, info: video_service_pb2.GetPlaybackInfoResponse) -> None:
        """Print the URLs that play a video."""
        if self.as_json:
            self.document(info)
            return
        rows = [("playback", info.playback_url), ("poster", info.poster_url)]
        rows += [("storyboard", info.storyboard_url), ("preview", info.preview_url)]
        rows += [("already plays", info.playable_url)]
        rows += [(f"download {each.name}", each.url) for each in info.downloads]
        self._rows((name, value) for name, value in [*rows, ("expires", _time(info, "expire_time"))] if value)

    def videos(self, videos: Sequence[video_pb2.Video]) -> None:
        """Print videos, one per line."""
        if not self.stdout.is_terminal:
            for video in videos:
                self.plain("\t".join(_list_columns(video)))
            return
        heads = ["ID", "STATUS", "CREATED", "LENGTH", "TITLE"]
        rows = [_list_columns(video) for video in videos]
        owners_ids = [_one_line(video.external_id) for video in videos]
        labels = [" ".join(_labels(video)) for video in videos]
        for head, cells in (("EXTERNAL ID", owners_ids), ("LABELS", labels)):
            if any(cells):
                heads.append(head)
                rows = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]
        table = Table(*heads, box=None, pad_edge=False)
        for video_id, status, *rest in rows:
            style = _STATUS_STYLES.get(status, "")
            table.add_row(video_id, Text(status, style=style), *map(Text, rest))
        self.stdout.print(table)

    def tracks(self, tracks: Sequence[video_pb2.Track]) -> None:
        """Print tracks, one per line."""
        self._rows((track.id, _track(track)) for track in tracks)

    def _rows(self, rows: Iterable[tuple[str, str]]) -> None:
        if not self.stdout.is_terminal:
            for name, value in rows:
                self.plain(f"{name}:\t{value}")
            return
        grid = Table.grid(padding=(0, 2))
        for name, value in rows:
            grid.add_row(Text(name, style="dim"), Text(value, style=_STATUS_STYLES.get(value, "")))
        self.stdout.print(grid)


def _stderr() -> TextIO:
    """Returns stderr, or a null device if it is closed, because rich would then use stdout."""
    return sys.stderr or Path(os.devnull).open("w")


def facts(video: video_pb2.Video) -> list[tuple[str, str]]:
    """Returns the non-empty fields of a video as name and value."""
    rows = [("id", video.id), ("title", _one_line(video.title)), ("user", _one_line(video.user_id))]
    rows += [("status", status_name(video)), ("version", str(video.version))]
    rows += [("external id", _one_line(video.external_id))]
    rows += [("label", label) for label in _labels(video)]
    times = [("created", "create_time"), ("ready", "ready_time"), ("expires", "expire_time")]
    rows += [(name, _time(video, field)) for name, field in [*times, ("deleted", "delete_time")]]
    rows += [("kind", kind_name(video)), ("loudness", _loudness(video))]
    rows += [("length", _length(video)), ("size", f"{video.width}×{video.height}" if video.width else "")]
    rows += [
        (f"rendition {r.name}", f"{_size(r)}{r.average_bandwidth / 1e6:.2f} Mb/s {r.codecs}")
        for r in video.renditions
    ]
    rows += [(track.id, _track(track)) for track in video.tracks]
    rows += [(f"download {each.name}", _download(each)) for each in video.downloads]
    # A public video shows its URLs.
    policy = policy_name(video)
    rows += [("policy", f"{policy}, epoch {video.playback_epoch}" if policy not in ("", "public") else "")]
    rows += [("playback", video.playback_url), ("poster", video.poster_url)]
    rows += [("storyboard", video.storyboard_url), ("preview", video.preview_url)]
    if video.HasField("processing"):
        rows += [("processing", _progress(video.processing))]
        rows += [("already plays", video.processing.playable_url)]
    if video.HasField("error"):
        rows += [("error", f"{video.error.code}: {_one_line(video.error.message)}")]
    return [(name, value) for name, value in rows if value]


def _size(rendition: video_pb2.Rendition) -> str:
    return f"{rendition.width}×{rendition.height} " if rendition.width else ""


def _loudness(video: video_pb2.Video) -> str:
    if not video.HasField("loudness"):
        return ""
    return f"{video.loudness.integrated_lufs:.1f} LUFS, {video.loudness.true_peak_dbtp:.1f} dBTP"


def _track(track: video_pb2.Track) -> str:
    """Returns the language and name of a track, and the code of an unpublished one."""
    marks = {"default": track.is_default, "forced": track.is_forced, "SDH": track.is_sdh}
    parts = [track.language, _one_line(track.name), *(mark for mark, is_set in marks.items() if is_set)]
    if track.state == video_pb2.Track.STATE_PREPARING:
        parts.append("being prepared")
    elif track.state != video_pb2.Track.STATE_READY:
        parts.append(f"not published: {track.error_code}")
    return ", ".join(part for part in parts if part)


def _download(download: video_pb2.Download) -> str:
    """Returns the size and URL of a file, or why there is none."""
    if download.state == video_pb2.Download.STATE_FAILED:
        return f"not made: {download.error_code}"
    if download.state != video_pb2.Download.STATE_READY:
        return "being made"
    return f"{download.size_bytes / 1e6:.1f} MB {download.url}".rstrip()


def _progress(work: video_pb2.Processing) -> str:
    """Returns the known parts of the progress."""
    parts = [f"{work.stage} {work.percent:.0f} %"] if work.stage else []
    parts += [f"{work.eta.ToTimedelta().total_seconds():.0f} s left"] if work.HasField("eta") else []
    parts += [f"attempt {work.attempt}"] if work.attempt > 1 else []
    return ", ".join(parts)


def _list_columns(video: video_pb2.Video) -> list[str]:
    status = "DELETED" if video.HasField("delete_time") else status_name(video)
    return [video.id, status, _time(video, "create_time"), _length(video), _one_line(video.title)]


def _labels(video: video_pb2.Video) -> list[str]:
    return [f"{_one_line(key)}={_one_line(value)}" for key, value in sorted(video.labels.items())]


def _time(message: Message, field: str) -> str:
    """Returns the time of a field; empty if it is absent."""
    if not message.HasField(field):
        return ""
    moment: datetime = getattr(message, field).ToDatetime(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _length(video: video_pb2.Video) -> str:
    if not video.HasField("duration"):
        return ""
    minutes, seconds = divmod(video.duration.ToTimedelta().total_seconds(), 60)
    return f"{minutes:.0f}:{seconds:04.1f}"


def _one_line(text: str) -> str:
    """Replace characters of user text that would break a line, a column or the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
