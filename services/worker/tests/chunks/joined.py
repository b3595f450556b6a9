"""Publishes the chunks of a film as the worker does: encoded, closed, measured, presented."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from gostream_shared.domain.encode import Encode
from gostream_worker.encode.closing import CounterClosing
from gostream_worker.encode.command import sheet_arguments
from gostream_worker.object_names import CUES, POSTER, SHEET
from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.plan import Plan
from gostream_worker.publish.measure import Measured, measure
from gostream_worker.publish.presentation import present
from services.worker.tests.chunks.chunk_runs import encode, run

#: Rewrites the segments of one rung of one chunk.
Close = Callable[[int, list[bytes]], list[bytes]]
_ENCODE = Encode(video_id=UUID(int=1), number=1, attempt=1, profile="default")


def closed(first: int, segments: list[bytes]) -> list[bytes]:
    closing = CounterClosing(first)
    return [closing.close(data, is_last=data is segments[-1]) for data in segments]


def unclosed(_: int, segments: list[bytes]) -> list[bytes]:
    return segments


def encode_all(plan: Plan, source: Path, folder: Path) -> None:
    """Encodes every chunk into a folder that is named by its number."""
    for chunk in plan.chunks:
        encode(plan, chunk, source, folder / str(chunk.number))


def measured(plan: Plan, folder: Path, close: Close = closed) -> dict[str, dict[str, tuple[bytes, Measured]]]:
    """Returns all segments by rendition and name."""
    return {name: _segments(plan, folder, name, close) for name in plan.renditions}


def _segments(plan: Plan, folder: Path, rendition: str, close: Close) -> dict[str, tuple[bytes, Measured]]:
    found: dict[str, tuple[bytes, Measured]] = {}
    for chunk in plan.chunks:
        paths = sorted((folder / str(chunk.number) / rendition).glob("*.ts"))
        segments = [path.read_bytes() for path in paths]
        if chunk.has_picture and segments:
            segments = close(_first(plan, chunk), segments)
        found |= {path.name: (data, measure(data)) for path, data in zip(paths, segments, strict=True)}
    return found


def _first(plan: Plan, chunk: Chunk) -> int:
    return chunk.start_frame // plan.segment_frames


def publish(plan: Plan, folder: Path, root: Path, close: Close = closed) -> Path:
    """Writes the publication of encoded chunks below `root`. Returns the path of its master playlist."""
    segments = measured(plan, folder, close)
    shown = {name: {file: part for file, (_, part) in parts.items()} for name, parts in segments.items()}
    presentation = present(plan, shown, _ENCODE)
    files = {
        f"v1/{name}/{file}": data for name, parts in segments.items() for file, (data, _) in parts.items()
    }
    files |= {f"v1/{name}": text.encode() for name, text in presentation.playlists.items()}
    files |= {"master.m3u8": presentation.master.encode(), f"v1/{CUES}": presentation.cues.encode()}
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    thumbnails(plan, folder, root / "v1")
    return root / "master.m3u8"


def thumbnails(plan: Plan, folder: Path, to: Path) -> None:
    """Writes the poster and the sheet of encoded chunks."""
    tiles = folder / "tiles"
    tiles.mkdir(exist_ok=True)
    for chunk in plan.chunks:
        for path in (folder / str(chunk.number)).glob("tile-*.png"):
            (tiles / path.name).write_bytes(path.read_bytes())
        poster = folder / str(chunk.number) / POSTER
        if poster.exists():
            (to / POSTER).write_bytes(poster.read_bytes())
    run(sheet_arguments(plan, folder="."), tiles)
    (to / SHEET).write_bytes((tiles / SHEET).read_bytes())
