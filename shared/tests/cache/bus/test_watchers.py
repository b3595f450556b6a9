"""Watchers deliver the latest values to readers of any speed."""

from uuid import uuid4

from gostream_shared.cache.bus.progress import _News, _news, progress_inbox
from gostream_shared.cache.bus.watchers import Watchers
from gostream_shared.cache.ports import Update
from gostream_shared.domain.encode import Encode, Progress

ID = uuid4()
ENCODE = Encode(video_id=ID, number=1, attempt=1)


async def test_slow_reader_sees_each_latest_value_once() -> None:
    watchers = Watchers()
    async with watchers.subscribe(ID) as watch:
        for version in (2, 4, 3):
            watchers.changed(ID, version)
        for percent in (1.0, 2.0):
            watchers.progressed(ENCODE, Progress(stage="encoding", percent=percent))
        update = await watch.wait(1)
        assert (update.version, update.gap) == (4, False)
        assert update.progress == (ENCODE, Progress(stage="encoding", percent=2.0))
        assert (await watch.wait(0.01)).is_empty


async def test_reset_is_a_gap_for_every_watcher() -> None:
    watchers = Watchers()
    async with watchers.subscribe(ID) as one, watchers.subscribe(uuid4()) as two:
        watchers.reset()
        assert await one.wait(1) == await two.wait(1) == Update(gap=True)


async def test_watchers_of_other_videos_receive_nothing() -> None:
    watchers = Watchers()
    async with watchers.subscribe(ID) as watch:
        watchers.changed(uuid4(), 1)
        assert (await watch.wait(0.01)).is_empty
    assert not watchers._watches


async def test_progress_is_json_and_invalid_text_is_ignored() -> None:
    heard: list[tuple[Encode, Progress]] = []
    inbox = progress_inbox(lambda *news: heard.append(news))
    progress = Progress(stage="encoding", percent=12.5, speed=3.0)
    inbox("change|of|a|later|release")
    inbox(_news.dump_json(_News(ENCODE, progress)).decode())
    assert heard == [(ENCODE, progress)]
