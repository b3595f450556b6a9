"""Pages keep the encoded rows of states, and nothing else."""

from dataclasses import replace
from datetime import timedelta

from gostream.v1.video_service_pb2 import ListVideosResponse
from gostream_api.rpc.pages import PageEncoder
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.listing import ListedVideo
from tests.support.videos import listed, make_video


def counted(video: Video, loads: list[Video]) -> ListedVideo:
    def load() -> Video:
        loads.append(video)
        return video

    return listed(video)._replace(load=load)


async def titles(pages: PageEncoder, *rows: ListedVideo) -> list[str]:
    return [video.title for video in ListVideosResponse.FromString(await pages.encode(rows, "")).videos]


async def test_row_read_again_is_not_converted() -> None:
    pages, loads, video = PageEncoder(""), list[Video](), make_video()

    await titles(pages, counted(video, loads))
    await titles(pages, counted(video, loads))

    assert loads == [video]


async def test_new_version_is_another_row() -> None:
    pages, video = PageEncoder(""), make_video(title="old")

    await titles(pages, listed(video))

    assert await titles(pages, listed(replace(video, version=2, title="new"))) == ["new"]


async def test_version_issued_twice_is_another_row() -> None:
    pages, video = PageEncoder(""), make_video(title="lost in a failover")
    later = replace(video, title="new", updated_at=video.updated_at + timedelta(microseconds=1))

    await titles(pages, listed(video))

    assert await titles(pages, listed(later)) == ["new"]


async def test_oldest_rows_leave_first() -> None:
    pages, loads = PageEncoder("", max_bytes=1200), list[Video]()
    first, second, third = (make_video() for _ in range(3))

    for video in (first, second, third, third, first):
        await titles(pages, counted(video, loads))

    assert loads == [first, second, third, first]
