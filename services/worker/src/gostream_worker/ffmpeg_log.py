"""What ffmpeg's error lines mean. Never its exit code: the same refusal is 1 on one build, 234 on another."""

import re
import signal
from collections import deque

from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError

#: More lines of damage than this part of all frames, and the result is not worth showing.
MAX_ERROR_RATE = 0.02
_TAIL_BYTES = 4096
#: Damage by who reports it. One damaged picture may be reported by each, or by the first only: whether the
#: second one learns of it in time depends on the decoder's threads.
_DAMAGE = (
    re.compile(r"error while decoding", re.IGNORECASE),
    re.compile(
        r"corrupt decoded frame|error submitting packet to decoder|decoding error: invalid", re.IGNORECASE
    ),
    re.compile(r"corrupt input packet", re.IGNORECASE),
)
#: Tracks that were not there at first, in which a programme goes on; the encoder does not follow it.
_NEW_PICTURE = re.compile(r"new video stream with index", re.IGNORECASE)
_NEW_SOUND = re.compile(r"new audio stream with index", re.IGNORECASE)
#: A correction of the clock, in microseconds (`dts_delta_threshold`).
_CORRECTION = re.compile(r"timestamp discontinuity \(stream id=\d+\): (-?\d+),")
_MEANINGS = (
    (
        re.compile(r"cannot allocate memory|failed to allocate|out of memory|file too large", re.IGNORECASE),
        Code.RESOURCE_LIMIT,
    ),
    (re.compile(r"codec .*not on whitelist", re.IGNORECASE), Code.UNSUPPORTED_CODEC),
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
#: What follows from damage, and also from a fault of ours: damage only where decoders complained of some.
_CONSEQUENCE = re.compile(
    r"could not open encoder before eof|received no packets|no filtered frames", re.IGNORECASE
)
_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
#: How the kernel enforces limits; SIGKILL is what its memory killer sends.
LIMIT_SIGNALS = frozenset({-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL})


class Complaints:
    """Keeps the end of the encoder's log, and counts the damage it reports. Memory is bounded."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._meaning: Code | None = None
        self.disk_full = False
        self._is_without_result = False
        self.new_sound = False
        self._new_picture = False
        self._damage = [0] * len(_DAMAGE)
        #: Seconds that ffmpeg has taken out of the clock at once: all tracks jump, or one of them pauses.
        self.longest_step = 0.0

    def hear(self, line: str) -> None:
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
        """Pictures and packets that could not be decoded as they were meant."""
        return max(self._damage)

    @property
    def tail(self) -> str:
        """The last 4 KB."""
        return "\n".join(self._tail)[-_TAIL_BYTES:]

    def verdict(self, returncode: int, *, frames: int, expected: int = 0) -> None:
        """Raises ProcessingFailedError or WorkerFullError unless the run was good.

        `expected`: errors that the probe foresaw, which are no damage.
        """
        if self.disk_full:
            raise WorkerFullError
        if returncode in LIMIT_SIGNALS:
            raise self._failed(Code.RESOURCE_LIMIT, f"the encoder was killed by signal {-returncode}")
        if returncode != 0:
            raise self._failed(self._cause(returncode), f"the encoder exited with {returncode}")
        if self._new_picture:
            raise self._failed(Code.TRUNCATED, "the programme goes on with another picture track")
        if self.damaged - expected > max(1.0, frames * MAX_ERROR_RATE):
            raise self._failed(Code.CORRUPT_STREAM, f"{self.damaged} errors in {frames} frames")

    def _cause(self, returncode: int) -> Code:
        """A crash is a fault of ours, unless decoders had complained of damage or memory had run out."""
        has_crashed = returncode < 0 and not self.damaged
        if self._meaning and not (has_crashed and self._meaning is Code.CORRUPT_STREAM):
            return self._meaning
        return Code.CORRUPT_STREAM if self._is_without_result and self.damaged else Code.INTERNAL

    def _failed(self, code: Code, detail: str) -> ProcessingFailedError:
        return ProcessingFailedError(code, detail, log_tail=self.tail)
