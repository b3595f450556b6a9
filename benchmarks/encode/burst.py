"""A burst of tiny films: from the first request to process until the last film is READY.

Next to it, the worker's own ffmpeg command in a loop, one film after the other. Both alternate.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import Profile
from gostream_worker.probe.probe import probe_source

from .ffmpeg_runs import Runs, bare_command
from .gostream_stack import GoStream
from .media import ffmpeg, table

_SECONDS = 2
_SIZE = "320x180"


@dataclass
class _Bursts:
    """Wall and CPU seconds of each round."""

    films: int
    wall: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    encoders: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    servers: list[float] = field(default_factory=list)
    loop_cpu: list[float] = field(default_factory=list)

    def text(self) -> str:
        ratio = median(bare / ours for ours, bare in zip(self.wall, self.loop, strict=True))
        pace, bare = (60 * self.films / median(times) for times in (self.wall, self.loop))
        spent = [self.encoders, self.worker, self.servers, self.loop_cpu]
        per_film = [f"{1000 * median(times) / self.films:.0f}" for times in spent]
        header = ["films a minute", "in the loop", "ratio", "CPU ms a film: children", "worker", "servers"]
        row = [f"{pace:.0f}", f"{bare:.0f}", f"{ratio:.2f}", *per_film]
        what = f"{self.films} films of {_SECONDS} s, {_SIZE}, {len(self.wall)} rounds. Medians."
        return "\n\n".join(["# A burst", (__doc__ or "").strip(), what, table([*header, "loop"], [row])])


async def report(films: int, profile: Profile, rounds: int) -> str:
    """Returns a table of films per minute. Raises RuntimeError if a film fails."""
    found = _Bursts(films)
    with tempfile.TemporaryDirectory() as name:
        source = await asyncio.to_thread(_make_source, Path(name))
        plan = make_plan(await probe_source(f"file:{source}", folder=source.parent), profile)
        async with GoStream.running() as gostream:
            await gostream.burst([await gostream.upload(source)], profile.name)
            for number in range(rounds):
                if number % 2:
                    await _loop(found, source, plan)
                await _burst(found, gostream, source, profile)
                if number % 2 == 0:
                    await _loop(found, source, plan)
                sys.stderr.write(f"burst {found.wall[-1]:.2f} s, loop {found.loop[-1]:.2f} s\n")
    return found.text()


def _make_source(folder: Path) -> Path:
    path = folder / "tiny.mp4"
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={_SIZE}:rate=25:duration={_SECONDS}"]
    sound = ["-f", "lavfi", "-i", f"sine=sample_rate=48000:duration={_SECONDS}"]
    ffmpeg("-v", "error", *picture, *sound, "-c:v", "mpeg4", "-q:v", "3", "-c:a", "aac", str(path))
    return path


async def _burst(found: _Bursts, gostream: GoStream, source: Path, profile: Profile) -> None:
    videos = [await gostream.upload(source) for _ in range(found.films)]
    own, servers = gostream.own_and_servers_cpu()
    children = gostream.children_cpu()
    found.wall.append(await gostream.burst(videos, profile.name))
    now_own, now_servers = gostream.own_and_servers_cpu()
    found.encoders.append(gostream.children_cpu() - children)
    found.worker.append(now_own - own)
    found.servers.append(now_servers - servers)


async def _loop(found: _Bursts, source: Path, plan: Plan) -> None:
    began, cpu = time.monotonic(), 0.0
    for _ in range(found.films):
        with tempfile.TemporaryDirectory() as name:
            runs = Runs(bare_command(source, Path(name), plan), Path(name))
            await runs.run()
            cpu += runs.cpu
    found.loop.append(time.monotonic() - began)
    found.loop_cpu.append(cpu)
