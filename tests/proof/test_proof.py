"""A short proof run: some seeds hold, a seed is reproducible, and every rule is necessary."""

from collections.abc import Iterator
from itertools import chain

import pytest
import structlog

from tests.proof.checker import Violation
from tests.proof.mutants import MUTANTS, Mutant
from tests.proof.simulate import simulate
from tests.support.quick import first_quick

SLICES, SEEDS_PER_SLICE = 8, 20
#: Seeds to try before a mutant counts as undetected.
GATE_SEEDS = 350


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("part", first_quick(range(SLICES), 2))
def test_every_promise_holds_in_every_history(part: int) -> None:
    summaries = [simulate(seed) for seed in range(part * SEEDS_PER_SLICE, (part + 1) * SEEDS_PER_SLICE)]
    assert sum(summary.reads for summary in summaries) > 1000
    assert any(summary.rejected for summary in summaries), "the races must occur"


def test_election_is_not_needed() -> None:
    """The elected process may be frozen without end, so every promise holds while no one is elected."""
    seeds = range(SEEDS_PER_SLICE)
    assert sum(simulate(seed, without=frozenset({"election"})).reads for seed in seeds) > 1000


def test_seed_reproduces_its_history() -> None:
    assert simulate(3) == simulate(3)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_no_rule_can_be_removed(mutant: Mutant) -> None:
    with mutant.alive(), pytest.raises(Violation):
        for seed in chain((mutant.seed,), range(GATE_SEEDS)):
            simulate(seed, without=mutant.without)
