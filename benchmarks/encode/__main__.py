"""Compares the worker with one ffmpeg run per rung, and with its own bare command."""

import argparse
import asyncio
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE, PROFILES
from gostream_worker.probe.probe import probe_source

from . import burst, chunks
from .ffmpeg_runs import Runs, bare_command, run_per_rung
from .gostream_stack import GoStream, Published
from .media import below, circumstances, likeness, make_source, table
from .turns import Contender, take_turns

_RESULTS = Path(__file__).parents[1] / "results"
_HEIGHT = 720
_LONGEST_TURN = 10.0
_UNFIT, _FIT = "unfit", "fit"
_OURS, _FIRST, _BARE = "GoStream", "a run per rung", "bare command"
_COMMANDS = {_FIRST: run_per_rung, _BARE: bare_command}
_BESIDE = {"run-per-rung": _FIRST, "bare": _BARE}
_EXPLANATION = (
    "Sources named unfit must be encoded completely; those named fit are H.264 with closed GOPs of 2 s. "
    "Times run from the request to process until the video is READY, on real servers. CPU is that of the "
    "worker and its children; the worker's own CPU is that of its process alone. The store, the database "
    "and the other servers run on the same processors and affect only the times. All methods run "
    "alternately for a few seconds each, while the others are stopped; every second round runs in reverse "
    "order. Ratios are medians over rounds."
)


@dataclass
class Samples:
    """Costs of one method per round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)


@dataclass
class Comparison:
    """All measurements of one source."""

    source: Path
    height: int
    samples: dict[str, Samples]
    first_play: list[float] = field(default_factory=list)
    own_cpu: list[float] = field(default_factory=list)
    servers_cpu: list[float] = field(default_factory=list)
    quality: list[list[str]] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """The methods other than ours."""
        return [way for way in self.samples if way != _OURS]

    def ratio(self, of: str, to: str, what: str) -> str:
        """The median of the ratios per round."""
        pairs = zip(getattr(self.samples[of], what), getattr(self.samples[to], what), strict=True)
        return f"{median(a / b for a, b in pairs):.2f}"

    def row(self) -> list[str]:
        wall, cpu = self.samples[_OURS].wall, self.samples[_OURS].cpu
        return [
            self.source.stem,
            *(
                f"{median(values):.1f}"
                for values in (wall, self.first_play, cpu, self.own_cpu, self.servers_cpu)
            ),
            *(self.ratio(_OURS, to, what) for to in self.others for what in ("wall", "cpu")),
        ]


async def compare(gostream: GoStream, source: Path, options: argparse.Namespace) -> Comparison:
    """Runs all methods alternately, so that other load on the machine affects them equally."""
    ways = [_BESIDE[name] for name in options.beside]
    result = Comparison(source, options.height, {way: Samples() for way in (_OURS, *ways)})
    plan = make_plan(await probe_source(f"file:{source}", folder=source.parent), PROFILES[options.profile])
    turn = options.turn or min(_LONGEST_TURN, plan.duration / 5)
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            folders = {way: Path(name) / str(n) for n, way in enumerate(ways)}
            for folder in folders.values():
                folder.mkdir()
            others = {way: Runs(_COMMANDS[way](source, folders[way], plan), folders[way]) for way in ways}
            backwards = number % 2 == 1
            published = await _take_turns(
                gostream, source, plan, others, result, seconds=turn, backwards=backwards
            )
            if number == 0 and not options.costs_only:
                result.quality = await asyncio.to_thread(_quality, published, folders, source, options.height)
        sys.stderr.write(f"{source.stem}: round {number + 1} of {options.rounds}\n")
    return result


async def _take_turns(
    gostream: GoStream,
    source: Path,
    plan: Plan,
    others: dict[str, Runs],
    result: Comparison,
    *,
    seconds: float,
    backwards: bool,
) -> Published:
    video = await gostream.upload(source)
    published: list[Published] = []

    async def process() -> None:
        published.append(await gostream.process(video, plan.profile.name, ours.clock))

    ours = Contender(process, gostream.encoder, gostream.own_and_servers_cpu)
    contenders = {way: Contender(runs.run, partial(getattr, runs, "process")) for way, runs in others.items()}
    order = [ours, *contenders.values()]
    await take_turns(order[::-1] if backwards else order, seconds=seconds)
    [made] = published
    own, servers = ours.used
    result.samples[_OURS].add(made.wall, made.children_cpu + own)
    for way, contender in contenders.items():
        result.samples[way].add(contender.clock(), others[way].cpu)
    result.first_play.append(made.first_play)
    result.own_cpu.append(own)
    result.servers_cpu.append(servers)
    return made


def _quality(published: Published, folders: dict[str, Path], source: Path, height: int) -> list[list[str]]:
    """Bytes and VMAF of each rung. Excludes the audio, which the run per rung repeats in every rung."""
    size, seconds = (round(height * 16 / 9), height), published.video.duration.ToTimedelta().total_seconds()
    rows = []
    master = published.video.playback_url.rpartition("/")[0]
    sound = 128_000 / 8 * seconds
    for rung in published.video.renditions:
        ours = f"{master}/v1/{rung.name}/playlist.m3u8"
        first = folders[_FIRST] / rung.name
        bytes_ours = below(folders[_BARE] / rung.name)
        bytes_first = below(first) - sound
        rows.append(
            [
                f"{source.stem} {rung.name}",
                *(f"{size_bytes / 1000:.0f}" for size_bytes in (bytes_ours, bytes_first)),
                *(f"{likeness(path, source, size=size).vmaf:.2f}" for path in (ours, first / "index.m3u8")),
            ]
        )
    return rows


async def _run(options: argparse.Namespace) -> list[Comparison]:
    results = []
    with tempfile.TemporaryDirectory() as name:
        async with GoStream.running() as gostream:
            for seconds in options.seconds:
                for kind in options.sources:
                    source = await asyncio.to_thread(
                        make_source, Path(name), seconds, height=options.height, fit=kind == _FIT
                    )
                    results.append(await compare(gostream, source, options))
    return results


def _report(results: Sequence[Comparison], command: str) -> str:
    costs = table(
        ["source", "READY s", "first play s", "CPU s", "of it the worker's own", "the servers' CPU s"]
        + [f"{what} / {to}" for to in results[0].others for what in ("time", "CPU")],
        [result.row() for result in results],
    )
    quality = table(
        ["source and rung", "kB", f"kB {_FIRST}", "VMAF", f"VMAF {_FIRST}"],
        [row for result in results for row in result.quality],
    )
    parts = ["# Encoding, compared with other methods", _EXPLANATION, costs]
    if any(result.quality for result in results):
        parts.append(quality)
    return "\n\n".join([*parts, circumstances(command)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__)
    parser.add_argument(
        "--seconds", type=int, nargs="+", default=[10, 60], help="lengths of the sources; 300 for a long one"
    )
    parser.add_argument("--height", type=int, default=_HEIGHT, help="height of the sources")
    parser.add_argument("--sources", nargs="+", choices=(_UNFIT, _FIT), default=(_UNFIT, _FIT))
    parser.add_argument("--profile", choices=sorted(PROFILES), default=DEFAULT_PROFILE.name)
    parser.add_argument(
        "--beside", nargs="+", choices=_BESIDE, default=list(_BESIDE), help="methods to compare with"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--turn",
        type=float,
        help="seconds per turn of a method (default: a fifth of the source, at most 10)",
    )
    parser.add_argument("--costs-only", action="store_true", help="skip bytes and VMAF, which are slow")
    parser.add_argument(
        "--workers",
        type=lambda text: [int(part) for part in text.split(",")],
        help="measure chunks encoded by so many workers, as 1,2, instead of comparing with other methods",
    )
    parser.add_argument(
        "--burst", type=int, help="process so many tiny films at once, beside the bare command in a loop"
    )
    options = parser.parse_args()
    command = shlex.join(["python", "-m", "benchmarks.encode", *sys.argv[1:]])
    if options.burst:
        text = asyncio.run(burst.report(options.burst, PROFILES[options.profile], options.rounds))
        _keep(text + "\n\n" + circumstances(command), f"encode-burst-{options.burst}.md")
        return
    if options.workers:
        _keep(asyncio.run(_measure_chunks(options)) + "\n\n" + circumstances(command), _name(options))
        return
    options.beside = list(dict.fromkeys(options.beside))
    if set(options.beside) != set(_BESIDE) and not options.costs_only:
        parser.error("bytes and VMAF need both methods: use --beside with --costs-only")
    _keep(_report(asyncio.run(_run(options)), command), _name(options))


async def _measure_chunks(options: argparse.Namespace) -> str:
    profile = PROFILES[options.profile]
    reports = [
        await chunks.report(seconds, options.height, profile, options.workers, options.rounds)
        for seconds in options.seconds
    ]
    return "\n\n".join(reports)


def _keep(text: str, name: str) -> None:
    sys.stdout.write(text + "\n")
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / name).write_text(text + "\n")


def _name(options: argparse.Namespace) -> str:
    parts = ["encode", *map(str, options.seconds)]
    if options.workers:
        parts += ["workers", *map(str, options.workers)]
    if options.height != _HEIGHT:
        parts.append(f"{options.height}p")
    if options.profile != DEFAULT_PROFILE.name:
        parts.append(options.profile)
    if len(options.sources) == 1:
        parts += options.sources
    if len(options.beside) == 1:
        parts += ["beside", *options.beside]
    if options.turn:
        parts.append(f"turns-{options.turn:g}")
    return "-".join(parts) + ".md"


if __name__ == "__main__":
    main()
