"""`import` on a scripted server."""

import json
from typing import Any

import grpc
import pytest

from cli.tests.conftest import Gostream, capture
from gostream_cli.ingest import commands
from gostream_client import AsyncClient, InvalidInputError, ProcessingFailedError
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, Video, processing, video

URL = "https://example.com/films/My%20film.mp4?X-Amz-Signature=a"
READY = video(Video.STATUS_READY, 3)


@pytest.fixture
def fetching(server: ApiServer) -> ApiServer:
    """A server that fetches and encodes."""
    server.api.videos = [processing(0, stage="fetching")]
    server.api.streams.append([processing(0, stage="fetching"), processing(50), READY])
    return server


async def imported(client: AsyncClient, **options: Any) -> str:
    new = commands.NewVideo(title=options.pop("title", None))
    shown = capture()
    await commands.import_source(client, shown.out, new, **options)
    return shown.stderr.getvalue()


async def test_import_shows_the_fetch_and_encode(client: AsyncClient, fetching: ApiServer) -> None:
    said = await imported(client, url=URL)

    assert said.splitlines() == [f"created {VIDEO_ID}", "fetching 0 %", "encoding 50 %", "ready"]
    create, _ = fetching.api.requests
    assert (create.source_url, create.title) == (URL, "My film")
    assert not create.HasField("process")


async def test_import_without_watch_ends_at_once(client: AsyncClient, fetching: ApiServer) -> None:
    await imported(client, key="films/a.mp4", follow_it=False, profile="quality")

    [create] = fetching.api.requests
    assert (create.source_key, create.title, create.process.profile) == ("films/a.mp4", "a", "quality")


async def test_failed_fetch_fails_the_command(client: AsyncClient, server: ApiServer) -> None:
    failed = video(Video.STATUS_FAILED, 3)
    failed.error.code = "SOURCE_UNREACHABLE"
    failed.error.message = "The server answered 404."
    server.api.streams.append([failed])
    with pytest.raises(ProcessingFailedError, match=r"answered 404; a retry will not help \(SOURCE_UNREACH"):
        await imported(client, url=URL)


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://example.com/", "untitled"),
        ("https://example.com/%00%E2%80%AE.mp4", "untitled"),
        ("https://example.com/a%0Ab%FF.tar.mp4", "a b\ufffd.tar"),
    ],
)
async def test_title_is_derived_from_odd_urls(
    client: AsyncClient, server: ApiServer, url: str, title: str
) -> None:
    await imported(client, url=url, follow_it=False)

    assert server.api.requests[0].title == title


async def test_text_that_is_no_url_is_refused(client: AsyncClient, server: ApiServer) -> None:
    with pytest.raises(InvalidInputError, match=r"https://\[::1/\\x1b is not a URL"):
        await imported(client, url="https://[::1/\x1b")

    assert server.api.requests == []


async def test_options_reach_the_video(gostream: Gostream, fetching: ApiServer) -> None:
    ran = await gostream(
        *("import", URL, "--title", "T", "--user", "ann", "--policy", "signed", "--label", "course=42"),
        *("--external-id", "x", "--profile", "quality", "-s", fetching.address, "--timeout", "30", "--json"),
    )

    assert ran.code == 0, ran
    assert [json.loads(line)["status"] for line in ran.stdout.splitlines()][-1] == "STATUS_READY"
    create = fetching.api.requests[0]
    assert (create.title, create.user_id, create.playback_policy) == ("T", "ann", 2)
    assert (dict(create.labels), create.external_id) == ({"course": "42"}, "x")


async def test_refused_url_is_explained(gostream: Gostream, server: ApiServer) -> None:
    text = "source_url: must name a public host"
    server.api.refusals.append(Refusal(grpc.StatusCode.INVALID_ARGUMENT, text, "SOURCE_URL_REFUSED"))
    ran = await gostream("import", "http://127.0.0.1/", "-s", server.address, "--timeout", "30")

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == f"gostream: {text} (SOURCE_URL_REFUSED, request id req-7)\n"


@pytest.mark.parametrize("arguments", [(), (URL, "--key", "films/a.mp4")])
async def test_import_needs_one_source(gostream: Gostream, arguments: tuple[str, ...]) -> None:
    ran = await gostream("import", *arguments)

    assert ran.code == 2
    assert "give either a URL or --key" in ran.stderr


async def test_upload_sends_labels_and_external_id(
    gostream: Gostream, server: ApiServer, tmp_path: Any
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    arguments = ("upload", str(tmp_path / "film.mp4"), "--label", "course=42", "--external-id", "x")
    ran = await gostream(*arguments, "-s", server.address, "--timeout", "30")
    refused = await gostream(*arguments, "--resume", VIDEO_ID)

    assert ran.code == 0, ran
    assert (dict(server.api.requests[0].labels), server.api.requests[0].external_id) == (
        {"course": "42"},
        "x",
    )
    assert refused.code == 2
    assert "--resume excludes" in refused.stderr
