"""Prints the logs of all processes or of one, optionally as they grow."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gostream_devstack.errors import StackError


def choose(root: Path, name: str | None) -> list[Path]:
    """Returns the log files of one process, or of all."""
    found = sorted((root / "logs").glob("*.log"))
    chosen = [path for path in found if name in (None, path.stem)]
    if not chosen:
        known = ", ".join(path.stem for path in found) or "none yet"
        raise StackError(f"no log of {name or 'any process'} in {root}; available: {known}")
    return chosen


def show(paths: Sequence[Path], lines: int, follow: bool, write: Callable[[str], None]) -> None:
    """Prints the last `lines` of each file; with `follow`, new lines until interrupted."""
    width = max(len(path.stem) for path in paths)
    places: dict[Path, int] = {}

    def emit(path: Path, text: str) -> None:
        for line in text.splitlines():
            write(line if len(paths) == 1 else f"{path.stem:<{width}}  {line}")

    for path in paths:
        text = path.read_text(errors="replace")
        places[path] = path.stat().st_size
        emit(path, "\n".join(text.splitlines()[-lines:]))
    while follow:
        time.sleep(0.2)
        for path in paths:
            places[path] = emit_new(path, places[path], emit)


def emit_new(path: Path, place: int, emit: Callable[[Path, str], None]) -> int:
    """Emits the complete lines after `place`. Returns the place after them.

    A file that shrank is read from its start.
    """
    if path.stat().st_size < place:
        place = 0
    with path.open("rb") as file:
        file.seek(place)
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    emit(path, whole.decode(errors="replace"))
    return place + len(whole)
