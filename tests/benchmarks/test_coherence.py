"""Tests the coherence harness: a checker blind to staleness would pass every cache."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.coherence.faults import Fault
from benchmarks.coherence.run import Options, Outcome, measure
from benchmarks.coherence.tally import LATE, SOON, Tally
from benchmarks.coherence.version_record import MAX_VERSIONS, Event, Truth
from benchmarks.servers import Servers
from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.servers.valkey import Valkey
from tests.support.servers.redis_topologies import Nodes, make_redis_cluster

__all__ = ["make_redis_cluster"]

SHORT = Options(
    seconds=2.5, replicas=2, readers=16, keys=6, writers=1, rate=120, pause=0.004, load_delay=0.03
)


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    return Truth.create(tmp_path / "truth", 2)


def test_version_is_stale_once_newer_is_announced(truth: Truth) -> None:
    truth.note(Event.ANNOUNCED, 1, 2, 100.0)

    assert truth.lateness(Event.ANNOUNCED, 1, 1, 100.5) == 0.5
    assert truth.lateness(Event.ANNOUNCED, 1, 1, 99.0) == 0  # the read began before
    assert truth.lateness(Event.ANNOUNCED, 1, 2, 200.0) == 0
    assert truth.lateness(Event.ANNOUNCED, 0, 1, 200.0) == 0  # another key
    assert truth.lateness(Event.COMMITTED, 1, 1, 200.0) == 0  # another event


def test_first_announcement_supersedes_all_earlier_versions(truth: Truth) -> None:
    truth.note(Event.ANNOUNCED, 0, 4, 10.0)  # versions 2 and 3 are announced late or never
    truth.note(Event.ANNOUNCED, 0, 3, 11.0)
    truth.note(Event.ANNOUNCED, 0, 5, 12.0)

    since = [20 - truth.lateness(Event.ANNOUNCED, 0, version, 20) for version in range(1, 6)]
    assert since == [10, 10, 10, 12, 20]


def test_record_is_shared_through_its_file(tmp_path: Path) -> None:
    writer = Truth.create(tmp_path / "truth", 1)
    reader = Truth(tmp_path / "truth", 1)
    writer.note(Event.COMMITTED, 0, 2, 1.0)

    assert reader.lateness(Event.COMMITTED, 0, 1, 3.0) == 2


def test_version_beyond_the_record_raises(truth: Truth) -> None:
    with pytest.raises(ValueError, match="at most"):
        truth.note(Event.COMMITTED, 0, MAX_VERSIONS, 1.0)


def test_tally_applies_both_staleness_bounds(truth: Truth) -> None:
    tally = Tally()
    truth.note(Event.COMMITTED, 0, 2, 100.0)
    truth.note(Event.ANNOUNCED, 0, 2, 100.5)

    tally.note(truth, 0, 1, 100.5 + SOON / 2)
    assert (tally.reads, tally.stale, tally.very_stale) == (1, 0, 0)
    tally.note(truth, 0, 1, 100.5 + SOON * 2)
    tally.note(truth, 0, 1, 100.5 + SOON * 2, stalled=True)
    assert (tally.reads, tally.stale, tally.stalled, tally.very_stale) == (3, 2, 1, 0)
    tally.note(truth, 0, 1, 100.1 + LATE)
    assert (tally.stale, tally.very_stale) == (3, 1)
    tally.note(truth, 0, 2, 200.0)
    assert (tally.reads, tally.stale, tally.very_stale) == (5, 3, 1)
    assert tally.worst == pytest.approx(LATE - 0.4)


@pytest.fixture
def servers(redis_server: Valkey, database_url: str, redis_settings: RedisSettings) -> Servers:
    return Servers(database_url, redis_server)


@pytest.mark.slow
def test_naive_cache_serves_stale_reads(servers: Servers) -> None:
    outcome = measure(servers, "naive", Fault.NONE, SHORT)

    assert outcome.writes > 20
    assert outcome.tally.reads > 100
    assert outcome.tally.stale > 10
    assert outcome.tally.worst > SOON
    assert outcome.tally.errors == 0


@pytest.mark.slow
def test_gostream_cache_stays_coherent_despite_races(servers: Servers) -> None:
    require_coherence(measure(servers, "gostream", Fault.NONE, SHORT))


@pytest.mark.slow
def test_gostream_cache_stays_coherent_over_cluster(
    make_redis_cluster: Callable[..., Nodes],
    database_url: str,
) -> None:
    nodes = make_redis_cluster()
    servers = Servers(database_url, nodes.nodes[0], nodes.url)

    require_coherence(measure(servers, "gostream", Fault.NONE, SHORT))

    assert all(b"video:" in each.execute("KEYS", "video:*") for each in nodes.nodes)


@pytest.mark.slow
def test_near_cache_stays_coherent(servers: Servers) -> None:
    outcome = measure(servers, "near", Fault.NONE, SHORT)

    tally = outcome.tally
    assert outcome.writes > 20
    assert tally.counters["near_hits"] > 100
    assert tally.counters["near_drops"] > 5
    assert (tally.very_stale, tally.stuck, tally.errors) == (0, 0, 0)


def require_coherence(outcome: Outcome) -> None:
    tally = outcome.tally
    assert outcome.writes > 20
    assert tally.counters["l1_hits"] > 100
    assert tally.counters["rejected"] > 5
    assert tally.counters["rejected_l1"] > 0
    assert (tally.very_stale, tally.stuck, tally.errors) == (0, 0, 0)
