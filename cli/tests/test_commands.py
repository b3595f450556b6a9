import json
from pathlib import Path
from typing import Any

import pytest

from gostream.v1 import video_pb2, video_service_pb2
from gostream_cli import commands
from gostream_cli.ingest import commands as ingest
from gostream_cli.organize import commands as organize
from gostream_cli.output import Output
from gostream_client import AsyncClient, GoStreamError
from tests.support.fake_server import VIDEO_ID, ApiServer, Store, processing, video

from .conftest import Gostream, capture

READY = video_pb2.Video.STATUS_READY
FAILED = video_pb2.Video.STATUS_FAILED
PLAYBACK = "http://localhost:8081/hls/x/master.m3u8"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "My film.mp4"
    path.write_bytes(b"film" * 1000)
    return path


async def upload(client: AsyncClient, out: Output, film: Path, **changes: Any) -> None:
    names = {"process_it", "profile", "follow_it", "parallel"}
    steps = {name: value for name, value in changes.items() if name in names}
    new = {name: value for name, value in changes.items() if name not in names}
    await ingest.upload(client, out, film, ingest.NewVideo(**new), ingest.Steps(**steps))


async def test_upload_sends_the_file_and_starts_processing(
    client: AsyncClient, server: ApiServer, store: Store, film: Path
) -> None:
    shown = capture(as_json=True)
    await upload(client, shown.out, film, user_id="ann")
    create, process = server.api.requests
    assert isinstance(create, video_service_pb2.CreateVideoRequest)
    assert (create.title, create.user_id, create.content_type) == ("My film", "ann", "video/mp4")
    assert create.size_bytes == 4000
    assert create.request_id
    assert isinstance(process, video_service_pb2.TriggerProcessRequest)
    assert store.puts == 1
    document = json.loads(shown.stdout.getvalue())
    assert document["status"] == "STATUS_PROCESSING"
    assert document["version"] == "2"
    assert document["playback_url"] == ""


async def test_upload_and_watch_ends_with_the_ready_video(
    client: AsyncClient, server: ApiServer, film: Path
) -> None:
    server.api.streams.append(
        [processing(0), processing(50), processing(100), video(READY, 3, playback_url=PLAYBACK)]
    )
    shown = capture()
    await upload(client, shown.out, film, follow_it=True)
    assert f"playback:\t{PLAYBACK}" in shown.stdout.getvalue()
    said = shown.stderr.getvalue().splitlines()
    assert said[0] == f"created {VIDEO_ID}"
    assert said[2:] == ["encoding 0 %", "encoding 50 %", "encoding 100 %", "ready"]


async def test_terminal_shows_progress_bars(client: AsyncClient, server: ApiServer, film: Path) -> None:
    server.api.streams.append([processing(50), video(READY, 3)])
    shown = capture(terminal=True)
    await upload(client, shown.out, film, follow_it=True)
    assert "uploading" in shown.stderr.getvalue()
    assert "━" in shown.stderr.getvalue()
    assert "ready" in shown.stderr.getvalue()


async def test_upload_without_process_starts_nothing(
    client: AsyncClient, server: ApiServer, film: Path
) -> None:
    await upload(client, capture().out, film, process_it=False, title="T", content_type="video/x-y")
    assert [type(r).__name__ for r in server.api.requests] == ["CreateVideoRequest", "GetVideoRequest"]
    assert server.api.requests[0].content_type == "video/x-y"


async def test_failed_video_is_printed_with_its_failure_code(client: AsyncClient, server: ApiServer) -> None:
    why = video_pb2.ProcessingError(code="SOURCE_NOT_MEDIA", message="The file is not a video.")
    server.api.streams.append([video(FAILED, 3, error=why)])
    shown = capture()
    with pytest.raises(
        GoStreamError, match=r"The file is not a video; a retry will not help \(SOURCE_NOT_MEDIA"
    ):
        await commands.process(client, shown.out, VIDEO_ID, profile="", follow_it=True)
    assert "status:\tFAILED" in shown.stdout.getvalue()


async def test_upload_requests_the_named_profile(client: AsyncClient, server: ApiServer) -> None:
    await commands.process(client, capture().out, VIDEO_ID, profile="quality", follow_it=False)

    [request] = server.api.requests
    assert isinstance(request, video_service_pb2.TriggerProcessRequest)
    assert request.options.profile == "quality"


async def test_sound_alone_shows_its_kind_and_loudness(client: AsyncClient, server: ApiServer) -> None:
    rung = video_pb2.Rendition(name="128k", average_bandwidth=140_000, codecs="mp4a.40.2")
    loudness = video_pb2.Loudness(integrated_lufs=-16.04, true_peak_dbtp=-1)
    heard = video(READY, 9, renditions=[rung], media_kind=video_pb2.MEDIA_KIND_AUDIO, loudness=loudness)
    server.api.videos = [heard]
    shown = capture()

    await commands.get(client, shown.out, VIDEO_ID, min_version=8)

    lines = shown.stdout.getvalue().splitlines()
    assert "kind:\taudio" in lines
    assert "loudness:\t-16.0 LUFS, -1.0 dBTP" in lines
    assert "rendition 128k:\t0.14 Mb/s mp4a.40.2" in lines


@pytest.mark.parametrize(("said", "number"), [("-16", 1), ("-23", 2), ("-23.0", 2), ("", 0)])
async def test_process_sends_the_wanted_loudness(
    gostream: Gostream, server: ApiServer, said: str, number: int
) -> None:
    ran = await gostream("process", VIDEO_ID, *(["--loudness", said] if said else []), "-s", server.address)

    assert ran.code == 0, ran
    assert server.api.requests[0].options.loudness == number


async def test_unknown_loudness_is_a_usage_error(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream("process", VIDEO_ID, "--loudness", "-14", "-s", server.address)

    assert (ran.code, server.api.requests) == (2, []), ran


async def test_watch_json_prints_one_line_per_state(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.append([processing(10), processing(90), video(READY, 3)])
    shown = capture(as_json=True)
    await commands.watch(client, shown.out, VIDEO_ID)
    lines = [json.loads(line) for line in shown.stdout.getvalue().splitlines()]
    assert [line["status"] for line in lines] == ["STATUS_PROCESSING"] * 2 + ["STATUS_READY"]
    assert lines[1]["processing"]["percent"] == 90


async def test_watching_a_cancelled_video_is_a_failure(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.append([video(video_pb2.Video.STATUS_CANCELLED, 3)])
    with pytest.raises(GoStreamError, match="cancelled"):
        await commands.watch(client, capture().out, VIDEO_ID)


async def test_get_prints_the_cache_layer(client: AsyncClient, server: ApiServer) -> None:
    rung = video_pb2.Rendition(name="720p", width=1280, height=720, average_bandwidth=2_500_000)
    heard = video_pb2.Track(
        id="audio-1", language="de", name="Deutsch", is_default=True, state=video_pb2.Track.STATE_READY
    )
    images = video_pb2.Track(
        id="subtitles-2", language="en", state=video_pb2.Track.STATE_SKIPPED, error_code="IMAGE_SUBTITLES"
    )
    server.api.videos = [video(READY, 9, renditions=[rung], tracks=[heard, images])]
    shown = capture()
    await commands.get(client, shown.out, VIDEO_ID, min_version=8)
    assert "rendition 720p:\t1280×720 2.50 Mb/s" in shown.stdout.getvalue()
    assert "audio-1:\tde, Deutsch, default\n" in shown.stdout.getvalue()
    assert "subtitles-2:\ten, not published: IMAGE_SUBTITLES\n" in shown.stdout.getvalue()
    assert "x-cache: L2, request id: req-7" in shown.stderr.getvalue()
    assert server.api.requests[0].min_version == 8


async def test_piped_list_is_tab_separated_despite_odd_titles(client: AsyncClient, server: ApiServer) -> None:
    server.api.videos = [video(READY, 1, user_id="u"), video()]
    server.api.videos[0].title = "a\tb\n\x1b[31mred [bold]c[/bold]"
    shown = capture()
    await organize.list_videos(client, shown.out, user_id="", status="ready", limit=1, page_token="")
    created = "2026-01-02T03:04:05Z"
    assert shown.stdout.getvalue() == f"{VIDEO_ID}\tREADY\t{created}\t\ta b  [31mred [bold]c[/bold]\n"
    assert "more: --page-token 1" in shown.stderr.getvalue()
    table = capture(terminal=True)
    await organize.list_videos(client, table.out, user_id="", status="ready", limit=9, page_token="")
    assert "STATUS" in table.stdout.getvalue()
    assert "[bold]c[/bold]" in table.stdout.getvalue()


async def test_list_json_prints_the_reply_unchanged(client: AsyncClient) -> None:
    shown = capture(as_json=True)
    await organize.list_videos(client, shown.out, user_id="", status="ready", limit=9, page_token="")
    document = json.loads(shown.stdout.getvalue())
    assert document["next_page_token"] == ""
    assert document["videos"][0]["id"] == VIDEO_ID
