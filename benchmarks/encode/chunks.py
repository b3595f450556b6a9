"""The cost of chunks: one process for a film, and its chunks encoded by several workers.

CPU is the user time of ffmpeg, which depends least on other load. No queue, database or store takes part.
"""

import asyncio
import hashlib
import re
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from gostream_worker.encode.closing import CounterClosing
from gostream_worker.encode.command import chunk_arguments
from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import Profile
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source

from .ffmpeg_runs import Runs
from .fleet import Assumptions, Costs, simulate
from .media import below, ffmpeg, make_source, table

_FILMS = {"10 min": 600.0, "1 h": 3600.0}
_FLEETS = (1, 2, 4, 8, 16)
#: Seconds after a border in which the picture is compared.
_AFTER = 2


@dataclass
class Measurement:
    """CPU seconds of one film by number of workers; 0 is one process for the film."""

    plan: Plan
    cpu: dict[int, list[float]] = field(default_factory=dict)
    size: dict[int, int] = field(default_factory=dict)
    trees: dict[int, str] = field(default_factory=dict)
    chunk_cpu: dict[int, list[float]] = field(default_factory=dict)  # by number, with one worker
    closing: float = 0.0
    borders: list[float] = field(default_factory=list)  # PSNR after a border, minus that of one process

    def ratio(self, workers: int) -> float:
        return median(own / whole for own, whole in zip(self.cpu[workers], self.cpu[0], strict=True))

    @property
    def costs(self) -> Costs:
        """Per second of the film. The first chunk pays for the decoder's start like all others."""
        seconds = {chunk.number: self._seconds(chunk) for chunk in self.plan.chunks}
        spent = {number: median(times) / seconds[number] for number, times in self.chunk_cpu.items()}
        kinds = {chunk.number: chunk.kind for chunk in self.plan.chunks}
        return Costs(
            whole=median(self.cpu[0]) / self.plan.duration,
            sound=sum(spent[number] for number, kind in kinds.items() if kind is ChunkKind.SOUND),
            pictures=[spent[number] for number, kind in kinds.items() if kind is ChunkKind.PICTURE],
        )

    def _seconds(self, chunk: Chunk) -> float:
        begins = float(chunk.start_frame / self.plan.fps)
        return self.plan.duration - begins if chunk.frames is None else float(chunk.frames / self.plan.fps)


async def measure(source: Path, profile: Profile, workers: Sequence[int], rounds: int) -> Measurement:
    """Encodes the film in one process and in chunks, alternately. Raises RuntimeError if chunks differ."""
    found = await probe_source(f"file:{source}", folder=source.parent)
    plan = make_plan(found, profile, may_copy=False, may_divide=True)
    result = Measurement(plan)
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            whole = Path(name) / "0"
            await _encode(_undivided(found, profile), [WHOLE], source, whole, 1, result, key=0)
            for count in workers:
                await _encode(plan, plan.chunks, source, Path(name) / str(count), count, result, key=count)
            if number == 0:
                result.borders = await asyncio.to_thread(
                    _borders, plan, source, whole, Path(name) / str(workers[0])
                )
                result.closing = _close(plan, Path(name) / str(workers[0]))
    if len({result.trees[count] for count in workers}) > 1:
        raise RuntimeError(f"the segments depend on the number of workers: {result.trees}")
    return result


def _undivided(found: Probe, profile: Profile) -> Plan:
    return make_plan(found, profile, may_copy=False)


async def _encode(
    plan: Plan,
    chunks: Sequence[Chunk],
    source: Path,
    folder: Path,
    workers: int,
    result: Measurement,
    *,
    key: int,
) -> None:
    """Encodes the chunks in their order, as many at a time as there are workers."""
    for rendition in plan.renditions:
        (folder / rendition).mkdir(parents=True)
    waiting = list(reversed(chunks))
    spent: dict[int, float] = {}

    async def work() -> None:
        while waiting:
            chunk = waiting.pop()
            command = chunk_arguments(plan, chunk, source=f"file:{source}", folder=".")
            runs = Runs([command], folder)
            await runs.run()
            spent[chunk.number] = runs.user

    await asyncio.gather(*(work() for _ in range(workers)))
    result.cpu.setdefault(key, []).append(sum(spent.values()))
    result.size[key] = below(folder)
    result.trees[key] = _digest(folder)
    if key == 1:
        for number, seconds in spent.items():
            result.chunk_cpu.setdefault(number, []).append(seconds)


def _digest(folder: Path) -> str:
    """Returns a digest of all segments and tiles."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".ts", ".png"}):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def _close(plan: Plan, folder: Path) -> float:
    """Returns the CPU seconds for closing the counters of all segments of picture."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for rung in plan.rungs:
        closing = CounterClosing(0)
        for path in sorted((folder / rung.name).glob("*.ts")):
            closing.close(path.read_bytes(), is_last=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def _borders(plan: Plan, source: Path, whole: Path, divided: Path) -> list[float]:
    """Returns the difference in PSNR in the first seconds after each border, in dB."""
    one, other = (_likeness(plan, source, folder) for folder in (whole, divided))
    frames = round(_AFTER * plan.fps)
    starts = [chunk.start_frame for chunk in plan.chunks if chunk.start_frame]
    return [mean(other[at : at + frames]) - mean(one[at : at + frames]) for at in starts]


def _likeness(plan: Plan, source: Path, folder: Path) -> list[float]:
    """Returns the PSNR of the luma of each frame of the top rung, in dB."""
    rung = plan.rungs[0]
    joined = folder / "joined.bin"
    joined.write_bytes(b"".join(path.read_bytes() for path in sorted((folder / rung.name).glob("*.ts"))))
    even = f"settb=AVTB,setpts=N/({plan.fps})/TB"
    graph = (
        f"[1:v]scale={rung.width}:{rung.height}:flags=lanczos,format=yuv420p,{even}[source];"
        f"[0:v]{even}[made];[made][source]psnr=stats_file=psnr.txt"
    )
    inputs = ["-f", "mpegts", "-i", str(joined), "-i", str(source)]
    ffmpeg("-v", "error", *inputs, "-lavfi", graph, "-an", "-f", "null", "-", folder=folder)
    return [float(value) for value in re.findall(r"psnr_y:([\d.]+)", (folder / "psnr.txt").read_text())]


async def report(seconds: int, height: int, profile: Profile, workers: Sequence[int], rounds: int) -> str:
    """Returns the measurements of a film that is encoded completely, and the simulated fleets."""
    with tempfile.TemporaryDirectory() as name:
        source = await asyncio.to_thread(make_source, Path(name), seconds, height=height, fit=False)
        found = await measure(source, profile, sorted({1, *workers}), rounds)
    return "\n\n".join(
        [
            f"# One film, many workers: {seconds} s at {height} lines",
            (__doc__ or "").strip(),
            _costs(found),
            _likeness_text(found),
            _simulation(found.costs),
        ]
    )


def _costs(found: Measurement) -> str:
    rows = [["one process", f"{median(found.cpu[0]):.2f}", "1.000", found.size[0] // 1000, ""]]
    for count in sorted(found.cpu.keys() - {0}):
        way = f"{len(found.plan.chunks)} chunks, {count} at a time"
        cost, size = f"{median(found.cpu[count]):.2f}", found.size[count] // 1000
        rows.append([way, cost, f"{found.ratio(count):.3f}", size, found.trees[count][:12]])
    return table(["", "CPU s", "ratio", "kB", "SHA-256 of the segments"], rows)


def _likeness_text(found: Measurement) -> str:
    return (
        f"Closing the counters: {found.closing:.2f} CPU s. PSNR of the first {_AFTER} s after a border, "
        f"compared with one process: {min(found.borders):+.2f} dB at worst, {mean(found.borders):+.2f} dB on "
        f"average of {len(found.borders)} borders."
    )


def _simulation(costs: Costs) -> str:
    low, usual, high = min(costs.pictures), mean(costs.pictures), max(costs.pictures)
    rows = []
    for film, length in _FILMS.items():
        outcomes = [simulate(length, fleet, costs) for fleet in _FLEETS]
        rows.append([film, *(f"{found.seconds:.0f} s · {found.efficiency:.2f}" for found in outcomes)])
    said = (
        f"CPU per second of the film: one process {costs.whole:.3f}; sound {costs.sound:.3f}; chunks of "
        f"picture {low:.3f} to {high:.3f}, mean {usual:.3f}.\n\nSimulated time and efficiency by number of "
        "workers. Efficiency is the time of one worker with one process, divided by the time and the number "
        f"of workers. Assumed: {Assumptions()}."
    )
    return said + "\n\n" + table(["film", *map(str, _FLEETS)], rows)
