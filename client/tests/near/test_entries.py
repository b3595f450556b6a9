"""The state of the near cache: no order of reads, events and losses leaves an old entry behind."""

from bisect import bisect_right

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gostream_client.near.entries import LAG, LARGEST, SILENCE, Entries, Fill

IDS = ("a", "b", "c")
ids = st.sampled_from(IDS)
lags = st.sampled_from([0.0, 0.5, LAG - 0.001])


class NearCacheModel(RuleBasedStateMachine):
    """A server whose replicas lag, a stream that may break, and a cache of two entries."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = Entries(2)
        self.now = 100.0
        self.heard_at = -1e9
        #: The times of the versions 1, 2, … of each video.
        self.history = {each: [0.0] for each in IDS}
        self.undelivered: list[tuple[str, int]] = []
        self.delivered = dict.fromkeys(IDS, 0)
        self.reads: list[tuple[Fill, int]] = []
        self.is_followed = False
        self.is_connected = False

    def version_at(self, video_id: str, time: float) -> int:
        return bisect_right(self.history[video_id], time)

    @rule(video_id=ids)
    def write(self, video_id: str) -> None:
        self.history[video_id].append(self.now)
        if self.is_followed:
            self.undelivered.append((video_id, len(self.history[video_id])))

    @rule(video_id=ids, is_known=st.booleans())
    def write_here(self, video_id: str, is_known: bool) -> None:
        self.write(video_id)
        self.entries.change(video_id, len(self.history[video_id]) if is_known else 0, self.now)

    @rule(seconds=st.sampled_from([0.01, 0.01, 1.0, 1.0, LAG, SILENCE + 1]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @initialize(seconds=st.sampled_from([LAG, LAG, 0.01]))
    def begin(self, seconds: float) -> None:
        self.start()
        self.wait(seconds)

    @rule()
    def start(self) -> None:
        self.undelivered.clear()
        self.is_followed = self.is_connected = True
        self.heard_at = self.now
        self.entries.start(self.now)

    @rule()
    def break_stream(self) -> None:
        self.is_connected = False

    @precondition(lambda self: self.is_followed)
    @rule()
    def hear(self) -> None:
        self.is_connected = True
        self.heard_at = self.now
        self.entries.heard(self.now)

    @precondition(lambda self: self.is_connected and self.undelivered)
    @rule()
    def deliver(self) -> None:
        self.hear()
        video_id, version = self.undelivered.pop(0)
        self.delivered[video_id] = version
        self.entries.change(video_id, version, self.now)

    @precondition(lambda self: not self.is_connected)
    @rule()
    def give_up(self) -> None:
        self.is_followed = self.is_connected = False
        self.undelivered.clear()
        self.entries.stop()

    @rule(video_id=ids, lag=lags)
    def begin_read(self, video_id: str, lag: float) -> None:
        self.reads.append((self.entries.begin(video_id, self.now), self.version_at(video_id, self.now - lag)))

    @precondition(lambda self: self.reads)
    @rule(which=st.integers(0, 5))
    def end_read(self, which: int) -> None:
        fill, version = self.reads.pop(which % len(self.reads))
        self.entries.store(fill, version, b"%d" % version, self.now)

    @rule(video_id=ids, lag=lags)
    def read_at_once(self, video_id: str, lag: float) -> None:
        self.begin_read(video_id, lag)
        self.end_read(-1)

    @invariant()
    def entries_are_as_new_as_the_stream(self) -> None:
        assert len(self.entries) <= 2
        waiting = {video_id for video_id, _ in self.undelivered}
        for video_id in IDS:
            found = self.entries.get(video_id, self.now)
            if found is None:
                continue
            assert self.now - self.heard_at <= SILENCE
            assert int(found) >= self.delivered[video_id]
            if video_id not in waiting:
                assert int(found) == len(self.history[video_id])


TestNearCache = NearCacheModel.TestCase
TestNearCache.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def live(size: int = 3) -> Entries:
    entries = Entries(size)
    entries.start(0.0)
    entries.heard(LAG)
    return entries


def stored(entries: Entries, video_id: str, version: int = 1, data: bytes = b"x") -> bool:
    return entries.store(entries.begin(video_id, LAG), version, data, LAG)


def test_least_recently_read_entry_leaves() -> None:
    entries = live(2)
    stored(entries, "a")
    stored(entries, "b")
    entries.get("a", LAG)
    stored(entries, "c")

    assert [entries.get(each, LAG) for each in "abc"] == [b"x", None, b"x"]


def test_min_version_passes_over_older_entry() -> None:
    entries = live()
    stored(entries, "a", 4)

    assert entries.get("a", LAG, min_version=4) == b"x"
    assert entries.get("a", LAG, min_version=5) is None


def test_huge_video_is_not_kept() -> None:
    assert not stored(live(), "a", 1, bytes(LARGEST + 1))


def test_fills_wait_for_lagging_replicas() -> None:
    entries = Entries(1)
    entries.start(0.0)

    assert not entries.store(entries.begin("a", LAG - 0.1), 1, b"x", LAG)
    assert entries.store(entries.begin("a", LAG), 1, b"x", LAG)


def test_every_event_counts_as_life() -> None:
    entries = live()
    stored(entries, "a")

    assert entries.get("a", LAG + SILENCE) == b"x"
    assert entries.get("a", LAG + SILENCE + 0.01) is None
    assert entries.drops == 1


def test_read_before_an_unknown_change_is_not_kept() -> None:
    entries = live()
    fill = entries.begin("a", LAG)
    entries.change("a", 0, LAG)

    assert not entries.store(fill, 1, b"x", LAG)
    assert stored(entries, "a")


def test_unknown_change_keeps_the_least_version() -> None:
    entries = live()
    entries.change("a", 5, LAG)
    entries.change("a", 0, LAG)
    entries.change("a", 3, LAG)

    assert not stored(entries, "a", 4)
    assert stored(entries, "a", 5)


def test_forgotten_changes_delay_fills() -> None:
    entries = live(1)
    entries.change("a", 5, LAG)
    entries.change("b", 2, LAG)

    assert not stored(entries, "a", 4)
    entries.heard(2 * LAG)
    assert entries.store(entries.begin("a", 2 * LAG), 5, b"x", 2 * LAG)


def test_stream_that_returns_late_finds_no_entry() -> None:
    entries = live()
    stored(entries, "a")
    entries.heard(LAG + SILENCE + 1)

    assert entries.get("a", LAG + SILENCE + 1) is None


def test_change_drops_older_entries_alone() -> None:
    entries = live()
    stored(entries, "a", 2)
    entries.change("a", 2, LAG)
    assert entries.get("a", LAG) == b"x"
    entries.change("a", 3, LAG)

    assert entries.get("a", LAG) is None
