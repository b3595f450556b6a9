"""Progress on stderr: bars on a terminal, occasional lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from gostream.v1 import video_pb2
from gostream_client import status_name

_LINE_EVERY_PERCENT = 25


@contextmanager
def upload_progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Yields `show(sent_bytes)`; the count returns to 0 when the upload is retried."""
    if not console.is_terminal:
        yield lambda sent: None
        return
    columns = (TextColumn("uploading "), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console) as bars:
        task = bars.add_task("upload", total=total)
        yield lambda sent: bars.update(task, completed=sent)


@contextmanager
def processing_progress(console: Console) -> Iterator[Callable[[video_pb2.Video], None]]:
    """Yields `show(video)` for each state of a video that is being processed."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console) as bars:
        task = bars.add_task("waiting", total=100, left="")
        playable = _Playable()

        def show(video: video_pb2.Video) -> None:
            work = video.processing
            if video.status == video_pb2.Video.STATUS_PROCESSING:
                left = f"{work.eta.ToTimedelta().total_seconds():.0f} s left" if work.HasField("eta") else ""
                again = f"attempt {work.attempt}" if work.attempt > 1 else ""
                note = " · ".join(part for part in (left, again) if part)
                bars.update(task, description=work.stage or "queued", completed=work.percent, left=note)
                if url := playable.new(video):
                    bars.console.out(f"already plays: {url}", highlight=False)
            elif video.status == video_pb2.Video.STATUS_READY:
                bars.update(task, description="ready", completed=100, left="")
            else:
                bars.update(task, description=status_name(video).lower().replace("_", " "), left="")

        yield show


class _Playable:
    """Reports the early playback URL once per encode."""

    def __init__(self) -> None:
        self._reported = ""

    def new(self, video: video_pb2.Video) -> str:
        """Returns the URL the first time it appears, else an empty string."""
        url = video.processing.playable_url
        if url == self._reported:
            return ""
        self._reported = url
        return url


class _Lines:
    """Prints a line for each new stage, and for each quarter of a stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: tuple[str, int] | None = None
        self._playable = _Playable()

    def __call__(self, video: video_pb2.Video) -> None:
        work = video.processing
        processing = video.status == video_pb2.Video.STATUS_PROCESSING
        stage = (work.stage or "queued") if processing else status_name(video).lower()
        step = (stage, int(work.percent // _LINE_EVERY_PERCENT))
        if step != self._printed:
            self._printed = step
            self._console.out(f"{stage} {work.percent:.0f} %" if processing else stage, highlight=False)
        if url := self._playable.new(video):
            self._console.out(f"already plays: {url}", highlight=False)
