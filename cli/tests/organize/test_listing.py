"""`ls`, `rm` and `undelete` on a scripted server."""

import json
from datetime import UTC, datetime

import pytest

from cli.tests.conftest import Gostream, capture
from gostream.v1.video_pb2 import MEDIA_KIND_AUDIO
from gostream_cli.organize import commands
from gostream_client import AsyncClient
from tests.support.fake_server import VIDEO_ID, ApiServer, Video, video

CREATED = "2026-01-02T03:04:05Z"


def deleted() -> Video:
    found = video(Video.STATUS_READY, 3)
    found.delete_time.FromDatetime(datetime(2026, 2, 3, tzinfo=UTC))
    return found


async def listed(client: AsyncClient, *, terminal: bool = False) -> str:
    shown = capture(terminal=terminal)
    await commands.list_videos(client, shown.out, limit=9, page_token="")
    return shown.stdout.getvalue()


async def test_options_become_filters(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream(
        *("ls", "--label", "course=42", "--label", "term", "--title", "algebra", "--external-id", "x"),
        *("--created-after", "2026-01-01", "--created-before", "2026-01-31T12:00:00+01:00", "--deleted"),
        *("--kind", "audio"),
        *("-s", server.address, "--timeout", "30", "--json"),
    )

    assert ran.code == 0, ran
    assert json.loads(ran.stdout)["videos"][0]["id"] == VIDEO_ID
    [request] = server.api.requests
    assert list(request.labels) == ["course=42", "term"]
    assert (request.title, request.external_id, request.show_deleted) == ("algebra", "x", True)
    assert request.media_kind == MEDIA_KIND_AUDIO
    assert request.created_after.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert request.created_before.ToDatetime(UTC) == datetime(2026, 1, 31, 11, tzinfo=UTC)


async def test_wrong_time_is_a_usage_error(gostream: Gostream) -> None:
    ran = await gostream("ls", "--created-after", "yesterday")

    assert ran.code == 2
    assert "'yesterday' is not a time, such as 2027-01-31" in ran.stderr


async def test_time_beyond_the_calendar_is_refused(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream("ls", "--created-after", "0001-01-01T00:00:00+14:00", "-s", server.address)

    assert (ran.code, server.api.requests) == (2, []), ran
    assert "created_after must be between the years 1 and 9999" in ran.stderr


async def test_piped_columns_stay_five(client: AsyncClient, server: ApiServer) -> None:
    server.api.videos = [deleted(), video(external_id="x", labels={"a": "b"})]

    assert await listed(client) == (
        f"{VIDEO_ID}\tDELETED\t{CREATED}\t\tHoliday\n{VIDEO_ID}\tPENDING_UPLOAD\t{CREATED}\t\tHoliday\n"
    )


async def test_terminal_shows_ids_and_labels_if_any(client: AsyncClient, server: ApiServer) -> None:
    assert "LABELS" not in await listed(client, terminal=True)
    server.api.videos = [video(external_id="lesson-17"), video(labels={"term": "", "course": "\x1b[1m[b]"})]
    shown = await listed(client, terminal=True)

    assert "EXTERNAL ID" in shown
    assert "lesson-17" in shown
    assert "course= [1m[b] term=" in shown


async def test_facts_have_labels_and_times(client: AsyncClient, server: ApiServer) -> None:
    found = deleted()
    found.labels["term"] = ""
    found.external_id = "lesson-17"
    found.expire_time.FromDatetime(datetime(2027, 1, 31, tzinfo=UTC))
    shown = capture()
    shown.out.video(found)
    text = shown.stdout.getvalue()

    assert "external id:\tlesson-17\nlabel:\tterm=\n" in text
    assert "expires:\t2027-01-31T00:00:00Z\ndeleted:\t2026-02-03T00:00:00Z\n" in text


async def test_rm_names_the_way_back(gostream: Gostream, server: ApiServer) -> None:
    usual = await gostream("rm", VIDEO_ID, "--yes", "-s", server.address, "--timeout", "30")
    final = await gostream("rm", VIDEO_ID, "-y", "--permanent", "-s", server.address, "--timeout", "30")

    assert [each.permanent for each in server.api.requests] == [False, True]
    assert f"gostream undelete {VIDEO_ID}" in usual.stderr
    assert final.stderr == f"deleted {VIDEO_ID} permanently\n"


@pytest.mark.parametrize("etag", ["", '"7"'])
async def test_undelete_prints_the_video(gostream: Gostream, server: ApiServer, etag: str) -> None:
    ran = await gostream(
        "undelete", VIDEO_ID, "--etag", etag, "-s", server.address, "--timeout", "30", "--json"
    )

    assert (ran.code, json.loads(ran.stdout)["version"]) == (0, "3"), ran
    assert [(each.id, each.etag) for each in server.api.requests] == [(VIDEO_ID, etag)]
