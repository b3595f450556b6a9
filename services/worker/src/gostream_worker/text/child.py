"""The child that reads subtitles: `python -m gostream_worker.text.child`, with its task as JSON on stdin.

The task: `sandbox` ("required" or "best-effort"), `folder`, and `texts`: objects with `file`, `codec` and
`language`. The codec WHOLE_FILE stands for a file as people have it, the others for a copy of a track. The
answer has a line of JSON for each text: its cues as [start, end, text] (ms), or a TrackCode.
"""

import json
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gostream_shared.domain.tracks import TrackCode
from gostream_worker.sandbox.confinement import Confinement, interpreter_paths
from gostream_worker.text.cues import Cue, cue_text
from gostream_worker.text.files import timed_texts
from gostream_worker.text.formats import Reader, decoded, plain, subrip, substation, webvtt, without_length

#: Limits of one text: bytes before and after its conversion, and cues.
MAX_BYTES = 5 << 20
MAX_CUES = 20_000
#: Characters of all texts of a film after their conversion.
MAX_IN_ALL = 8 << 20
#: Milliseconds for which a cue without an end is shown, unless the next one begins earlier.
_UNTIL = 5_000
_OPTIONS = {"format_whitelist": "matroska,mov", "protocol_whitelist": "file"}
#: The codec of a file of SubRip, WebVTT or SubStation Alpha.
WHOLE_FILE = "file"
_SUBSTATION = ("ass", "ssa")
_MARKED_UP: dict[str, Reader] = {"srt": subrip, "subrip": subrip, "webvtt": webvtt}


class TooLargeError(Exception):
    """A text is larger than the limits."""


def main() -> None:
    task = json.loads(sys.stdin.buffer.read())
    if any(text["codec"] != WHOLE_FILE for text in task["texts"]):
        import av  # noqa: F401 - before the confinement; only for copies, because it takes long
    os.chdir(task["folder"])
    paths = (*interpreter_paths(), task["folder"])
    Confinement(read=paths, required=task["sandbox"] == "required").enter()
    left = MAX_IN_ALL
    for text in task["texts"]:
        answer: Any
        try:
            is_whole = text["codec"] == WHOLE_FILE
            cues = read_file(text["file"], text["language"]) if is_whole else read_cues(**text)
        except TooLargeError:
            answer = TrackCode.SUBTITLES_TOO_LARGE
        except (OSError, ValueError):
            answer = TrackCode.UNREADABLE_SUBTITLES
        else:
            left -= sum(len(cue.text) for cue in cues)
            fits = left >= 0
            answer = [[c.start, c.end, c.text] for c in cues] if fits else TrackCode.SUBTITLES_TOO_LARGE
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def read_file(file: str, language: str) -> list[Cue]:
    """Returns the cues of a file of subtitles, in order. Raises TooLargeError, OSError and ValueError."""
    with Path(file).open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    found = timed_texts(data, language, at_most=MAX_CUES)
    if len(data) > MAX_BYTES or len(found) > MAX_CUES:
        raise TooLargeError
    return list(_shown(sorted(found)))


def read_cues(file: str, codec: str, language: str) -> list[Cue]:
    """Returns the cues of a file with one text track, in order. Raises TooLargeError and ValueError."""
    import av

    try:
        return _demuxed(av, file, codec, language)
    except av.FFmpegError as error:
        raise ValueError(str(error)) from error


def _demuxed(av: Any, file: str, codec: str, language: str) -> list[Cue]:
    with av.open(f"file:{file}", options=_OPTIONS, metadata_errors="replace") as container:
        stream = next(iter(container.streams.subtitles), None)
        if stream is None:
            return []
        header = (stream.codec_context.extradata if stream.codec_context is not None else None) or b""
        times: list[tuple[int, int]] = []
        packets: list[bytes] = []
        size = 0
        for packet in container.demux(stream):
            data = bytes(packet)
            size += len(data)
            if size > MAX_BYTES or len(packets) > MAX_CUES:
                raise TooLargeError
            if packet.pts is not None and packet.time_base is not None and data:
                start = round(packet.pts * packet.time_base * 1000)
                times.append((start, start + round((packet.duration or 0) * packet.time_base * 1000)))
                packets.append(without_length(data) if codec == "mov_text" else data)
    reader = substation(header) if codec in _SUBSTATION else _MARKED_UP.get(codec, plain)
    texts = [cue_text(reader(text)) for text in decoded(packets, language)]
    return list(_shown(sorted(zip(times, texts, strict=True))))


def _shown(found: list[tuple[tuple[int, int], str]]) -> Iterator[Cue]:
    """Yields what is shown, each once. A cue without an end lasts until the next one begins."""
    starts = [start for (start, _), _ in found]
    last: Cue | None = None
    for (start, said_end), text in found:
        end = said_end
        if end <= start:
            after = bisect_right(starts, start)
            end = min(start + _UNTIL, starts[after] if after < len(starts) else start + _UNTIL)
        cue = Cue(max(start, 0), end, text)
        if text and cue.end > cue.start and cue != last:
            yield cue
            last = cue


if __name__ == "__main__":
    main()
