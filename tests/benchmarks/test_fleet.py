"""The simulated fleet of the encoding benchmark."""

import pytest

from benchmarks.encode.fleet import Assumptions, Costs, simulate

_COSTS = Costs(whole=2.0, sound=0.03, pictures=[1.8, 2.0, 2.2])
_FREE = Assumptions(per_chunk=0.0, serial=0.0, usage=1.0)


def test_fleet_without_overhead_wastes_only_its_end() -> None:
    alone, eight = (simulate(3600, workers, _COSTS, _FREE) for workers in (1, 8))

    assert alone.efficiency == pytest.approx(1, abs=0.03)
    assert 0.9 < eight.efficiency < alone.efficiency
    assert eight.seconds == pytest.approx(alone.seconds / 8, rel=0.1)


def test_sound_limits_a_large_fleet() -> None:
    assert simulate(3600, 1000, _COSTS, _FREE).seconds == pytest.approx(3600 * 0.03, rel=0.01)


def test_same_costs_give_the_same_times() -> None:
    assert simulate(600, 4, _COSTS) == simulate(600, 4, _COSTS)
