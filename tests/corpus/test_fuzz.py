"""Mutants of good files: known codes or READY, never an exception, never over the limits.

`GOSTREAM_FUZZ=500 GOSTREAM_FUZZ_SEED=1000` chooses how many and from which seed on.
"""

import os
from pathlib import Path

import pytest

from .fuzz import complaint, mutant, replay
from .media import Kitchen
from .pipeline import Pipeline, largest_child
from .test_corpus import MEMORY

_FIRST = int(os.environ.get("GOSTREAM_FUZZ_SEED", "1"))
_MANY = int(os.environ.get("GOSTREAM_FUZZ", "60"))
#: Enough of them to keep the fuzzer itself from rotting.
_QUICK = 4


def _seeds() -> list[object]:
    return [
        pytest.param(seed, marks=() if number < _QUICK else pytest.mark.slow)
        for number, seed in enumerate(range(_FIRST, _FIRST + _MANY))
    ]


@pytest.mark.parametrize("seed", _seeds())
async def test_mutant_gets_a_known_result(
    seed: int, kitchen: Kitchen, pipeline: Pipeline, tmp_path: Path
) -> None:
    largest_before = largest_child()
    try:
        outcome = await pipeline.run(mutant(seed, kitchen, tmp_path))
    except Exception as error:  # anything unforeseen is what is being looked for
        raise AssertionError(f"the worker did not foresee this; again with: {replay(seed)}") from error

    assert complaint(outcome) == "", f"{outcome.log}\nagain with: {replay(seed)}"
    # A high-water mark: in a long run an earlier test's child may already stand above the bound.
    assert largest_child() <= max(MEMORY, largest_before), (
        f"a child has grown too large; again with: {replay(seed)}"
    )


def test_seed_reproduces_its_mutant(kitchen: Kitchen, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()

    first, again = mutant(1, kitchen, tmp_path), mutant(1, kitchen, tmp_path / "again")

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != mutant(2, kitchen, tmp_path).read_bytes()
