"""Simulates how long a fleet of workers takes for the chunks of a film."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import mean

from gostream_worker.plan.chunks import ChunkKind, plan_chunks

_FPS = Fraction(25)
_SEGMENT_FRAMES = 150
_SEED = 1
_REPETITIONS = 20


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Facts that the simulation does not measure. Times in seconds.

    A process of a whole film uses `usage` of the worker's cores. Each chunk costs `per_chunk` besides its
    encoder: its job, its source's index, its last PUTs. `serial` is planning and publishing.
    """

    cores: int = 2
    usage: float = 0.95
    per_chunk: float = 0.35
    serial: float = 1.2

    def __str__(self) -> str:
        return (
            f"workers of {self.cores} cores that run {self.cores} chunks at a time, each on one core; "
            f"{self.per_chunk:g} s per chunk and {self.serial:g} s per film without an encoder; one process "
            f"for the whole film uses {self.usage:.0%} of {self.cores} cores; chunks of picture cost per "
            "second of the film what the measured ones cost, drawn at random; the next free slot takes the "
            "next chunk"
        )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured CPU seconds per second of the film: of one process, of the sound, of each chunk of picture."""

    whole: float
    sound: float
    pictures: Sequence[float]


@dataclass(frozen=True)
class Outcome:
    """Seconds until the film is encoded, and the share of the fleet's time that one process would need."""

    seconds: float
    efficiency: float


def simulate(film: float, workers: int, costs: Costs, assumptions: Assumptions = Assumptions()) -> Outcome:
    """Returns the mean of several draws for a film of so many seconds."""
    draw = random.Random(_SEED)
    taken = mean(_once(film, workers, costs, assumptions, draw) for _ in range(_REPETITIONS))
    alone = film * costs.whole / (assumptions.cores * assumptions.usage) + assumptions.serial
    return Outcome(taken, alone / taken / workers)


def _once(film: float, workers: int, costs: Costs, assumptions: Assumptions, draw: random.Random) -> float:
    slots = [0.0] * workers * assumptions.cores
    frames = round(film * _FPS)
    for chunk in plan_chunks(pictures=frames, fps=_FPS, segment_frames=_SEGMENT_FRAMES, has_sound=True):
        length = float((chunk.frames or frames - chunk.start_frame) / _FPS)
        cost = costs.sound if chunk.kind is ChunkKind.SOUND else draw.choice(costs.pictures)
        heapq.heapreplace(slots, slots[0] + assumptions.per_chunk + length * cost)
    return max(slots) + assumptions.serial
