"""Trust in Redis entries: version floors, their expiry, and the local drops they cause."""

from uuid import UUID

import pytest

from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError

A, B = UUID(int=1), UUID(int=2)


class Clock:
    """A manual clock."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def unannounced(clock: Clock) -> Unannounced:
    return Unannounced(clock=clock, max_age=3)


def is_believed(unannounced: Unannounced) -> bool:
    try:
        return unannounced.floor(B) == 0
    except CacheUnavailableError:
        return False


def test_entries_are_untrusted_before_the_first_poll(unannounced: Unannounced) -> None:
    assert not is_believed(unannounced)


def test_poll_counts_from_its_start(unannounced: Unannounced, clock: Clock) -> None:
    unannounced.look({}, asked=99.0)
    clock.now = 101.9
    assert is_believed(unannounced)
    clock.now = 102.0
    assert not is_believed(unannounced)


def test_accepted_heartbeat_makes_entries_trusted(unannounced: Unannounced, clock: Clock) -> None:
    unannounced.accepted(100.0)
    clock.now = 102.9
    assert is_believed(unannounced)
    clock.now = 103.0
    assert not is_believed(unannounced)


def test_each_floor_is_raised_once(unannounced: Unannounced) -> None:
    assert unannounced.look({A: 2}, asked=100) == {A: 2}
    assert unannounced.look({A: 2, B: 1}, asked=100) == {B: 1}
    assert unannounced.look({A: 3}, asked=100) == {A: 3}
    assert (unannounced.floor(A), unannounced.floor(B)) == (3, 0)


def test_earlier_poll_does_not_lower_a_floor(unannounced: Unannounced, clock: Clock) -> None:
    unannounced.note(A, 5)
    assert unannounced.look({A: 4}, asked=99) == {}
    assert unannounced.floor(A) == 5
    clock.now = 101
    unannounced.look({}, asked=100.5)
    assert unannounced.floor(A) == 0


def test_announced_write_clears_its_floor_unless_newer(unannounced: Unannounced) -> None:
    unannounced.look({}, asked=100)
    for version in (1, 2):
        unannounced.note(A, version)
    unannounced.forget(A, 1)
    assert unannounced.floor(A) == 2
    unannounced.forget(A, 2)
    assert unannounced.floor(A) == 0


def test_too_many_unannounced_writes_end_all_trust(unannounced: Unannounced) -> None:
    unannounced.look(None, asked=100)
    unannounced.accepted(100)
    assert not is_believed(unannounced)
    unannounced.look({}, asked=100)
    assert is_believed(unannounced)
