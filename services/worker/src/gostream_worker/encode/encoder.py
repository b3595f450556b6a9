"""Runs ffmpeg once: reads progress, keeps the log, watches for stalls, and ends it with its caller."""

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from gostream_shared.concurrency import task_group
from gostream_shared.observability.tracing import spans
from gostream_worker.encode.progress_parser import EncoderProgress, ProgressParser, split_lines
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg_log import LogClassifier
from gostream_worker.sandbox.confinement import Confinement
from gostream_worker.sandbox.process import ChildLimits, limited_child

OnProgress = Callable[[EncoderProgress], None]
_CHUNK = 4096
_VERSION_TIMEOUT = 60.0
_MAX_FILE = 8 << 30
#: Seconds between two checks of the encoder's output files.
_LOOK_EVERY = 5.0
#: Share of one processor that a working encoder uses even on a very busy machine. One that hangs uses 0.1 %.
_WORKING_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Timeouts of the watchdog, in seconds."""

    no_progress: float = 60.0
    wall_base: float = 60.0
    wall_per_media_second: float = 8.0
    pixels_per_second: float = 10e6  # half the rate at which two busy processors decode and scale 8K

    def wall(self, duration: float, pixel_rate: float = 0.0) -> float:
        """Returns the time limit for a film of that duration and pixel rate."""
        return self.wall_base + duration * max(
            self.wall_per_media_second, pixel_rate / self.pixels_per_second
        )

    def limits(self, duration: float, silent: float, pixel_rate: float) -> tuple[float, float]:
        """Returns the limits of a run and of a time without progress.

        `silent`: seconds of the source before the first output.
        """
        before = self.wall(silent, pixel_rate) - self.wall_base
        return self.wall(duration, pixel_rate), self.no_progress + before


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReport:
    """The result of a successful run."""

    seconds: float
    damaged: int  # decoding errors, few enough to publish
    new_sound: bool  # a sound track appeared that the source lacked at first
    log_tail: str


class Encoder:
    """Runs ffmpeg with arguments from gostream_worker.encode.command."""

    def __init__(
        self, program: Path, *, memory: int, sandbox_required: bool = False, patience: Patience | None = None
    ) -> None:
        self._program = program
        self._memory = memory
        self._sandbox_required = sandbox_required
        self._patience = patience or Patience()

    async def version(self) -> str:
        """Returns the version of the program, "" if it does not tell."""
        process = await asyncio.create_subprocess_exec(str(self._program), "-version", stdout=PIPE)
        async with asyncio.timeout(_VERSION_TIMEOUT):
            answer, _ = await process.communicate()
        words = answer.decode("utf-8", "replace").split(maxsplit=3)
        return words[2] if len(words) > 2 else ""

    async def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        duration: float,
        pixel_rate: float = 0.0,
        on_progress: OnProgress,
        port: int | None = None,
        expected_errors: int = 0,
        may_step: bool = True,
        least_frames: int = 0,
        silent: float = 0.0,
    ) -> EncodeReport:
        """Runs to the end. `duration` and `pixel_rate` are the source's.

        `expected_errors` do not count as damage, which is judged against at least `least_frames`. `may_step`:
        clock steps of the source are known and handled; otherwise a step ends the run: INTERNAL. `silent`:
        seconds of the source before the first output. The child reads and writes only in `folder`, and
        connects only to that loopback port, if any.

        Raises ProcessingFailedError and WorkerFullError. If cancelled, it returns once the whole process
        group has ended.
        """
        run = _Run(on_progress, folder, may_step=may_step)
        wall, no_progress = self._patience.limits(duration, silent, pixel_rate)
        limits = ChildLimits(
            memory=self._memory, cpu_seconds=int(wall * (os.cpu_count() or 1)), file_bytes=_MAX_FILE
        )
        confinement = self._confinement(folder, port)
        command = [str(self._program), *arguments]
        with spans.span("ffmpeg"):
            async with limited_child(command, limits, folder=folder, confinement=confinement) as process:
                try:
                    async with asyncio.timeout(wall), task_group() as tasks:
                        watchdog = tasks.create_task(run.watch(no_progress, process.pid))
                        await run.follow(process)
                        watchdog.cancel()
                except TimeoutError:
                    raise run.stuck(f"not done after {wall:.0f} s", Code.RESOURCE_LIMIT) from None
            frames = max(run.frames, least_frames)
            run.log.check(process.returncode or 0, frames=frames, expected=expected_errors)
        return EncodeReport(
            seconds=monotonic() - run.began,
            damaged=run.log.damaged,
            new_sound=run.log.new_sound,
            log_tail=run.log.tail,
        )

    def _confinement(self, folder: Path, port: int | None) -> Confinement:
        return Confinement(
            read=_prefix(self._program),
            run=(str(self._program),),
            write=(str(folder),),
            port=port,
            required=self._sandbox_required,
        )


class _Run:
    """The state of one run."""

    def __init__(self, on_progress: OnProgress, folder: Path, *, may_step: bool) -> None:
        self._folder = folder
        self._may_step = may_step
        self._written = 0
        self.log = LogClassifier()
        self.frames = 0
        self.began = self._moved = monotonic()
        self._position = -1.0
        self._on_progress = on_progress
        self._parser = ProgressParser()

    async def follow(self, process: Process) -> None:
        """Reads both pipes to their ends."""
        async with task_group() as readers:
            readers.create_task(_read_lines(process.stdout, self._feed_progress))
            readers.create_task(_read_lines(process.stderr, self._hear_complaint))
        await process.wait()

    def _hear_complaint(self, line: str) -> None:
        self.log.feed(line)
        if self.log.longest_step and not self._may_step:
            why = f"a clock steps by {self.log.longest_step:.1f} s: the source must be read first"
            raise self.stuck(why, Code.INTERNAL)

    def _feed_progress(self, line: str) -> None:
        report = self._parser.feed(line)
        if report is None:
            return
        self.frames = report.frames
        if report.position is not None and report.position > self._position:
            self._position, self._moved = report.position, monotonic()
        self._on_progress(report)

    async def watch(self, no_progress: float, pid: int) -> None:
        """Raises ProcessingFailedError INTERNAL if the encoder neither progresses nor writes files.

        A machine that is busy with other work slows the encoder down: as long as it uses the processor, the
        limit is in seconds of the processor instead of the clock.

        ffmpeg reports no progress until all of its outputs have data, and sound may begin an hour later.
        """
        used = await asyncio.to_thread(cpu_seconds, pid)
        while True:
            moved = self._moved
            left = no_progress - (monotonic() - moved)
            await asyncio.sleep(min(left, _LOOK_EVERY) if left > 0 else min(no_progress, _LOOK_EVERY))
            written = await asyncio.to_thread(_last_written, self._folder)
            if written > self._written:
                self._written, self._moved = written, monotonic()
            if self._moved > moved:
                used = await asyncio.to_thread(cpu_seconds, pid)
            elif (idle := monotonic() - moved) >= no_progress:
                since = await asyncio.to_thread(cpu_seconds, pid) - used
                if not idle * _WORKING_SHARE <= since < no_progress:
                    raise self.stuck(f"no progress for {idle:.0f} s", Code.INTERNAL)

    def stuck(self, why: str, code: Code) -> ProcessingFailedError:
        return ProcessingFailedError(code, why, log_tail=self.log.tail)


def cpu_seconds(pid: int) -> float:
    """Returns the processor time of a process, 0 if it has ended or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _prefix(program: Path) -> tuple[str, ...]:
    """Returns the folder that the program is installed in. Its libraries are in lib/ there."""
    prefix = program.resolve().parent.parent
    return () if prefix == Path("/") else (str(prefix),)


def _last_written(folder: Path) -> int:
    """Returns when an entry of the folder or of a subfolder last changed, in ns."""
    try:
        inner = [entry.stat().st_mtime_ns for entry in os.scandir(folder) if entry.is_dir()]
        return max([folder.stat().st_mtime_ns, *inner])
    except OSError:
        return 0


async def _read_lines(stream: asyncio.StreamReader | None, feed: Callable[[str], None]) -> None:
    assert stream is not None  # noqa: S101 - both pipes were asked for
    pending = b""
    while chunk := await stream.read(_CHUNK):
        whole, pending = split_lines(pending, chunk)
        for line in whole:
            feed(line)
    if pending:
        feed(pending.decode("utf-8", "replace"))
