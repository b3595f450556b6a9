"""Maps ffmpeg log lines to failure codes.

Exit codes are not used: the same refusal is 1 in one build and 234 in another.
"""

import re
import signal
from collections import deque

from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError

#: Highest ratio of damage lines to frames that is published.
MAX_ERROR_RATE = 0.02
_TAIL_BYTES = 4096
#: Damage patterns by reporter. Each reporter or only the first may report a damaged picture: the decoder's
#: threads decide whether the second one sees it in time.
_DAMAGE = (
    re.compile(r"error while decoding", re.IGNORECASE),
    re.compile(
        r"corrupt decoded frame|error submitting packet to decoder|decoding error: invalid", re.IGNORECASE
    ),
    re.compile(r"corrupt input packet", re.IGNORECASE),
)
#: Tracks that appear in the middle, in which a programme continues. The encoder does not follow them.
_NEW_PICTURE = re.compile(r"new video stream with index", re.IGNORECASE)
_NEW_SOUND = re.compile(r"new audio stream with index", re.IGNORECASE)
#: A clock correction in microseconds (`dts_delta_threshold`).
_CORRECTION = re.compile(r"timestamp discontinuity \(stream id=\d+\): (-?\d+),")
#: Decoders of subtitles. ffmpeg tries to open them to describe a source, and the encoder uses none.
_UNDECODED = "mov_text|srt|subrip|ssa|ass|webvtt|text|pgssub|dvbsub|dvdsub|xsub|cc_dec|libzvbi_teletextdec"
_MEANINGS = (
    (
        re.compile(r"cannot allocate memory|failed to allocate|out of memory|file too large", re.IGNORECASE),
        Code.RESOURCE_LIMIT,
    ),
    (re.compile(rf"codec (?!\((?:{_UNDECODED})\)).*not on whitelist", re.IGNORECASE), Code.UNSUPPORTED_CODEC),
    (re.compile(r"(format|protocol) .*not on whitelist", re.IGNORECASE), Code.UNSUPPORTED_CONTAINER),
    (re.compile(r"specified max pixel count|picture size .* is invalid", re.IGNORECASE), Code.DIMENSIONS),
    (re.compile(r"moov atom not found|partial file|file ended prematurely", re.IGNORECASE), Code.TRUNCATED),
    (
        re.compile(
            r"no path between colorspaces|not enough information to do it|unsupported input \(",
            re.IGNORECASE,
        ),
        Code.UNSUPPORTED_CODEC,
    ),
    (re.compile(r"decode error rate|invalid data found", re.IGNORECASE), Code.CORRUPT_STREAM),
)
#: Consequences of damage or of an internal fault. They count as damage only if a decoder reported damage.
_CONSEQUENCE = re.compile(
    r"could not open encoder before eof|received no packets|no filtered frames", re.IGNORECASE
)
_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
#: Signals with which the kernel enforces limits. The OOM killer sends SIGKILL.
LIMIT_SIGNALS = frozenset({-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL})


class LogClassifier:
    """Keeps the end of the encoder's log and counts reported damage. Memory is bounded."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._meaning: Code | None = None
        self.disk_full = False
        self._is_without_result = False
        self.new_sound = False
        self._new_picture = False
        self._damage = [0] * len(_DAMAGE)
        #: Longest clock step in seconds that ffmpeg removed: all tracks jump, or one of them pauses.
        self.longest_step = 0.0

    def feed(self, line: str) -> None:
        if correction := _CORRECTION.search(line):
            self.longest_step = max(self.longest_step, int(correction[1]) / 1e6)
        self._keep(line)
        for reporter, pattern in enumerate(_DAMAGE):
            if pattern.search(line):
                self._damage[reporter] += 1
        self._new_picture = self._new_picture or bool(_NEW_PICTURE.search(line))
        self.new_sound = self.new_sound or bool(_NEW_SOUND.search(line))
        if _DISK_FULL.search(line):
            self.disk_full = True
        self._is_without_result = self._is_without_result or _CONSEQUENCE.search(line) is not None
        if self._meaning is None:
            self._meaning = next((code for pattern, code in _MEANINGS if pattern.search(line)), None)

    def _keep(self, line: str) -> None:
        self._tail.append(line)
        self._tail_bytes += len(line) + 1
        while self._tail_bytes > _TAIL_BYTES and len(self._tail) > 1:
            self._tail_bytes -= len(self._tail.popleft()) + 1

    @property
    def damaged(self) -> int:
        """The number of pictures and packets that were not decoded correctly."""
        return max(self._damage)

    @property
    def tail(self) -> str:
        """The last 4 KB."""
        return "\n".join(self._tail)[-_TAIL_BYTES:]

    def check(self, returncode: int, *, frames: int, expected: int = 0) -> None:
        """Raises ProcessingFailedError or WorkerFullError unless the run succeeded.

        `expected`: errors that the probe predicted, which do not count as damage.
        """
        if self.disk_full:
            raise WorkerFullError
        if returncode in LIMIT_SIGNALS:
            raise self._failed(Code.RESOURCE_LIMIT, f"the encoder was killed by signal {-returncode}")
        if returncode != 0:
            raise self._failed(self._cause(returncode), f"the encoder exited with {returncode}")
        if self._new_picture:
            raise self._failed(Code.TRUNCATED, "the programme continues in another picture track")
        if self.damaged - expected > max(1.0, frames * MAX_ERROR_RATE):
            raise self._failed(Code.CORRUPT_STREAM, f"{self.damaged} errors in {frames} frames")

    def _cause(self, returncode: int) -> Code:
        """Returns the code for a failed run.

        A crash is INTERNAL unless decoders reported damage or memory ran out.
        """
        has_crashed = returncode < 0 and not self.damaged
        if self._meaning and not (has_crashed and self._meaning is Code.CORRUPT_STREAM):
            return self._meaning
        return Code.CORRUPT_STREAM if self._is_without_result and self.damaged else Code.INTERNAL

    def _failed(self, code: Code, detail: str) -> ProcessingFailedError:
        return ProcessingFailedError(code, detail, log_tail=self.tail)
