"""Any order of begins, reports, ends, deaths, cancellations and new plans keeps the rows of a film right."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.chunks import ChunkTry
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import FenceLostError

from .films import Films, pictures

pytestmark = pytest.mark.stack
CHUNKS = 4
_Result = TypeVar("_Result")


@dataclass
class Model:
    """What the rows must say."""

    latest: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(CHUNKS), 0))
    done: set[int] = field(default_factory=set)
    is_over: bool = False  # cancelled, or planned again
    percent: float = 0.0

    def owns(self, running: ChunkTry) -> bool:
        is_latest = self.latest[running.chunk] == running.tries
        return is_latest and running.chunk not in self.done and not self.is_over


class Rows(RuleBasedStateMachine):
    """Workers that begin, end, die and come back late."""

    url = ""
    tries = Bundle("tries")

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._opened = PostgresDatabase.open(self.url)
        self.films = Films(self._run(self._opened.__aenter__()))
        self.model = Model()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._runner.run(work)

    def _tried(self, work: Coroutine[Any, Any, object], *, succeeds: bool) -> None:
        """Does the work, which must lose its fence unless it `succeeds`."""
        if succeeds:
            self._run(work)
        else:
            with pytest.raises(FenceLostError):
                self._run(work)

    @initialize()
    def plan(self) -> None:
        self.encode: Encode = self._run(self.films.planned(pictures(CHUNKS - 1)))

    @rule(target=tries, chunk=st.integers(0, CHUNKS - 1))
    def begin(self, chunk: int) -> ChunkTry | None:
        if self.model.is_over or chunk in self.model.done:
            self._tried(self.films.begin(self.encode, chunk), succeeds=False)
            return None
        running = self._run(self.films.begin(self.encode, chunk))
        self.model.latest[chunk] += 1
        assert running.tries == self.model.latest[chunk]
        return running

    @rule(running=tries, seconds=st.floats(0, 20))
    def report(self, running: ChunkTry | None, seconds: float) -> None:
        if running is None:
            return
        work = self.films.database.chunks.report(running, position=seconds, speed=1.0)
        self._tried(work, succeeds=self.model.owns(running))

    @rule(running=tries)
    def end(self, running: ChunkTry | None) -> None:
        if running is None:
            return
        is_owner = self.model.owns(running)
        self._tried(self.films.end(running), succeeds=is_owner)
        if is_owner:
            self.model.done.add(running.chunk)

    @rule(running=consumes(tries))
    def stop(self, running: ChunkTry | None) -> None:
        if running is not None:
            self._tried(self.films.database.chunks.forgive(running), succeeds=self.model.owns(running))

    @precondition(lambda self: not self.model.is_over)
    @rule(how=st.sampled_from(["cancel", "plan anew"]))
    def be_over(self, how: str) -> None:
        if how == "cancel":
            self._run(self.films.database.encodes.cancel(self.encode.video_id))
        else:
            self._run(self._plan_anew())
        self.model.is_over = True

    async def _plan_anew(self) -> None:
        async with self.films.database.transaction() as transaction:
            await transaction.chunks.plan_anew(self.encode)

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        if not hasattr(self, "encode"):
            return
        row = self._run(
            self.films.database.pool.fetchrow(
                """SELECT chunks_left, percent, (SELECT count(*) FROM pgqueuer WHERE entrypoint = 'finish'
                  AND convert_from(payload, 'UTF8')::jsonb ->> 'video_id' = $2) AS finishes
                FROM encodes WHERE video_id = $1""",
                self.encode.video_id,
                str(self.encode.video_id),
            )
        )
        assert row is not None
        left = CHUNKS - len(self.model.done)
        assert row["chunks_left"] == (None if self.model.is_over else left)
        assert row["finishes"] == (1 if left == 0 else 0)
        assert row["percent"] >= self.model.percent
        self.model.percent = row["percent"]

    def teardown(self) -> None:
        self._run(self._opened.__aexit__(None, None, None))
        self._runner.close()


def test_rows_survive_any_order(database_url: str) -> None:
    class Tested(Rows):
        url = database_url

    run_state_machine_as_test(
        Tested,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
