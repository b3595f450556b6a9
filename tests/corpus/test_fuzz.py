"""Mutants of valid files give known codes or READY, raise no exception and stay within limits.

`GOSTREAM_FUZZ=500 GOSTREAM_FUZZ_SEED=1000` sets the number of mutants and the first seed.
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
#: Enough mutants to test the fuzzer itself.
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
    except Exception as error:  # any unexpected error is a finding
        raise AssertionError(f"the worker did not foresee this; again with: {replay(seed)}") from error

    assert complaint(outcome) == "", f"{outcome.log}\nagain with: {replay(seed)}"
    # A peak over all children: in a long run an earlier child may already exceed the limit.
    assert largest_child() <= max(MEMORY, largest_before), (
        f"a child has grown too large; again with: {replay(seed)}"
    )


def test_seed_reproduces_its_mutant(kitchen: Kitchen, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()

    first, again = mutant(1, kitchen, tmp_path), mutant(1, kitchen, tmp_path / "again")

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != mutant(2, kitchen, tmp_path).read_bytes()
