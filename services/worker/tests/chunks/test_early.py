"""Early playback of films in chunks."""

from itertools import pairwise

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import VideoStatus
from gostream_worker.chunks.early import join_listed
from gostream_worker.chunks.stored import Listed, listed_json
from gostream_worker.publish.playlists import Segment
from services.worker.tests.chunks.fleet import Fleet
from services.worker.tests.chunks.test_films import film, uploaded
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import durations
from services.worker.tests.plan.test_ladder import plan

PLAN = plan(width=320, height=180)
(RUNG,) = [rung.name for rung in PLAN.rungs]


def listed(*names: str, rendition: str = RUNG) -> str:
    segments = {rendition: tuple(Segment(name=name, ticks=540_000, size=1) for name in names)}
    return listed_json(Listed(segments=segments, codecs={rendition: "c"}))


def names(rows: list[tuple[str, bool, str | None]]) -> list[str]:
    found = join_listed(PLAN, rows)
    return [segment.name for segment in found.segments[RUNG]] if found else []


def test_lists_end_before_the_first_unfinished_chunk() -> None:
    rows = [("picture", True, listed("0", "1")), ("picture", False, None), ("picture", True, listed("4"))]
    assert names(rows) == ["0", "1"]
    rows[1] = ("picture", False, listed("2"))
    assert names(rows) == ["0", "1", "2"]
    rows[1] = ("picture", True, listed("2", "3"))
    assert names(rows) == ["0", "1", "2", "3", "4"]


def test_nothing_is_listed_until_every_rendition_has_begun() -> None:
    assert join_listed(PLAN, [("picture", False, None)]) is None


@pytest.fixture
def fleet(worker: Worker, database: PostgresDatabase) -> Fleet:
    return Fleet(worker, database)


@pytest.mark.stack
async def test_lists_only_grow_and_finally_end(
    fleet: Fleet, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_shared.db.companions.chunks.PostgresChunks.may_list", _always)
    store, written = fleet.worker.dependencies.store, dict[str, list[str]]()
    put = store.put

    async def recording(key: str, body: bytes, **options: str) -> None:
        if "/early-" in key:
            written.setdefault(key.rpartition("/")[2], []).append(body.decode())
        await put(key, body, **options)

    monkeypatch.setattr(store, "put", recording)
    video = await uploaded(fleet, clip(film))
    video = await fleet.work(video.id, workers=2)

    assert video.status is VideoStatus.READY
    assert set(written) == {"early-180p.m3u8", "early-audio.m3u8"}
    for texts in written.values():
        assert len(texts) > 2
        for shorter, longer in pairwise(texts):
            assert longer.startswith(shorter)
        assert texts[-1].endswith("#EXT-X-ENDLIST\n")
        assert sum(durations(texts[-1])) == pytest.approx(45, abs=0.1)
    assert "#EXT-X-MEDIA" in (await fleet.worker.published(video.id))["v1/early.m3u8"].decode()
    playable = fleet.worker.recorder.announced[0]
    assert playable < (video.id, video.version), "playable before READY"


async def _always(*_: object, **__: object) -> bool:
    return True
