"""Mutants: valid files with random damage that a seed reproduces.

`python -m tests.corpus.fuzz --seed N` runs one mutant through the pipeline and prints the outcome;
`--keep PATH` saves the mutant.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gostream_worker.failures import Code

from . import hostile, unusual
from .media import Kitchen, Recipe
from .pipeline import READY, Outcome, Pipeline

#: Small files of many kinds; the seed chooses one.
PARENTS: tuple[Recipe, ...] = (
    unusual.plain,
    unusual.fragmented,
    unusual.vp9_webm,
    unusual.mpeg4_avi,
    unusual.flv,
    unusual.wmv,
    unusual.theora_ogg,
    unusual.mpeg_program,
    unusual.starts_late,
    unusual.rotated,
    unusual.hdr10,
    hostile.gab2_avi,
    hostile.external_reference_mov,
    hostile.encrypted,
    hostile.playlist_behind_a_title,
)
#: Allowed outcomes of a damaged file. INTERNAL is excluded: it means an unclassified failure.
KNOWN = frozenset(
    {READY, *Code} - {Code.INTERNAL, Code.BACKEND_UNAVAILABLE, Code.SOURCE_GONE, Code.SOURCE_REPLACED}
)
#: Bytes that hold headers, where a flipped bit has more effect than inside a picture.
_HEAD = 4096


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Applies one to three kinds of damage."""
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        chance.choice(_DAMAGE)(damaged, chance)
    return bytes(damaged)


def _flip_in_the_head(data: bytearray, chance: random.Random) -> None:
    _flip(data, chance, min(len(data), _HEAD))


def _flip_anywhere(data: bytearray, chance: random.Random) -> None:
    _flip(data, chance, len(data))


def _flip(data: bytearray, chance: random.Random, below: int) -> None:
    for _ in range(chance.randint(1, 32) if below else 0):
        data[chance.randrange(below)] ^= 1 << chance.randrange(8)


def _extreme_number(data: bytearray, chance: random.Random) -> None:
    """Replaces four bytes by a boundary value of 32 bits."""
    if len(data) > 4:
        at = chance.choice([chance.randrange(len(data) - 4), chance.randrange(min(len(data) - 4, _HEAD))])
        data[at : at + 4] = chance.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]).to_bytes(4, "big")


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randint(0, len(data)) :]


def _remove(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    del data[start : start + chance.randint(1, 1000)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    data[start:start] = data[start : start + chance.randint(1, 1000)]


_DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip_in_the_head, _flip_anywhere, _extreme_number, _cut, _remove, _repeat),
)


def mutant(seed: int, kitchen: Kitchen, folder: Path) -> Path:
    """Writes the mutant of the seed. Returns its path."""
    chance = random.Random(seed)
    parent = kitchen(chance.choice(PARENTS))
    path = folder / f"mutant-{seed}"
    path.write_bytes(mutate(parent.read_bytes(), chance))
    return path


def replay(seed: int) -> str:
    """The command that reproduces the mutant."""
    return f"python -m tests.corpus.fuzz --seed {seed}"


def complaint(outcome: Outcome) -> str:
    """Returns the error in a mutant's outcome, or "" if it is correct."""
    if outcome.code not in KNOWN:
        return f"{outcome.code} ({outcome.detail})"
    if outcome.is_visible != (outcome.code == READY):
        return f"{outcome.code}, but published: {sorted(outcome.published)}"
    return f"left behind: {outcome.left_behind}" if outcome.left_behind else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--keep", type=Path, help="where to leave the mutant")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Pipeline.open(Path(name) / "work") as pipeline:
        source = mutant(options.seed, Kitchen(Path(name)), Path(name))
        if options.keep:
            options.keep.write_bytes(source.read_bytes())
        outcome = asyncio.run(pipeline.run(source))
    sys.stdout.write(f"{outcome.code} {outcome.detail}\n{outcome.log}\n{complaint(outcome)}\n")


if __name__ == "__main__":
    main()
