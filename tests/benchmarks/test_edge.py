"""The edge benchmark: a count of other answers than cached segments would flatter a server."""

import json
from time import monotonic, sleep

import pytest

from benchmarks.edge import Seen, measure, running, signed_path, warm
from benchmarks.viewers import drive
from tests.deploy.origin import Origin, serving

pytestmark = pytest.mark.stack
SIZE = 20_000


def test_counted_answers_are_cached_segments() -> None:
    with running() as (_, _, edge):
        warm(edge, SIZE)
        answers, _seconds = drive((edge.host, edge.port), SIZE, connections=4, seconds=0.2)
        deadline = monotonic() + 30
        while sum(map(_is_hit, edge.tail(1_000_000).splitlines())) < answers:
            assert monotonic() < deadline
            sleep(0.1)


def test_every_round_measures_all_kinds() -> None:
    with running() as (plain, ungated, edge):
        kinds = [Seen(plain), Seen(ungated), Seen(edge), Seen(edge, signed_path())]
        found = measure(kinds, SIZE, rounds=2, connections=4, seconds=0.1)
    for seen in found:
        assert len(seen.rates) == len(seen.cpu) == 2
        assert min(seen.rates) > 0


def _is_hit(line: str) -> bool:
    entry = json.loads(line) if line.startswith("{") else {}
    return (entry.get("cache"), entry.get("bytes")) == ("HIT", SIZE)


def test_refused_answers_end_the_measurement() -> None:
    empty = Origin()
    with serving(empty), pytest.raises(RuntimeError, match="404"):
        drive(("127.0.0.1", empty.port), SIZE, connections=1, seconds=5)
