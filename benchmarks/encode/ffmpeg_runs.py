"""Other methods for the same rungs: one ffmpeg run per rung, or one run with the worker's arguments."""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.encode.command import encode_arguments
from gostream_worker.plan.plan import Plan

Command = Sequence[str]


def run_per_rung(source: Path, folder: Path, plan: Plan) -> Sequence[Command]:
    """One run per rung, as in the first GoStream: preset fast, no bitrate cap, no forced key frames."""
    commands = []
    for rung in plan.rungs:
        (folder / rung.name).mkdir()
        height = min(rung.width, rung.height)
        coding = ["-c:v", "libx264", "-preset", "fast", "-vf", f"scale=-2:{height}", "-c:a", "aac"]
        hls = ["-b:a", "128k", "-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod"]
        commands.append(["-v", "error", "-i", str(source), *coding, *hls, f"{rung.name}/index.m3u8"])
    return commands


def bare_command(source: Path, folder: Path, plan: Plan) -> Sequence[Command]:
    """The worker's ffmpeg command without the worker."""
    for name in plan.renditions:
        (folder / name).mkdir()
    return [encode_arguments(plan, source=f"file:{source}", folder=".")]


class Runs:
    """Sequential runs of ffmpeg in a folder."""

    def __init__(self, commands: Sequence[Command], folder: Path) -> None:
        self._commands = commands
        self._folder = folder
        #: Pid of the current run.
        self.process: int | None = None
        #: CPU seconds of the finished runs.
        self.cpu = 0.0
        #: The part of them outside the kernel.
        self.user = 0.0

    async def run(self) -> None:
        """Runs all commands. Raises RuntimeError with ffmpeg's messages if one fails."""
        for command in self._commands:
            try:
                await asyncio.to_thread(self._run, command)
            except asyncio.CancelledError:
                if self.process:
                    os.kill(self.process, signal.SIGKILL)
                raise

    def _run(self, command: Command) -> None:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y", *command],
                stdout=subprocess.DEVNULL,
                stderr=said,
                cwd=self._folder,
            )
            self.process = process.pid
            _, status, usage = os.wait4(process.pid, 0)
            self.process = None
            self.user += usage.ru_utime
            self.cpu += usage.ru_utime + usage.ru_stime
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise RuntimeError(said.read().decode("utf-8", "replace")[-2000:])
