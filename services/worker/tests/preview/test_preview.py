"""The preview: four seconds of a film as one animated picture."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Video, VideoStatus
from gostream_worker.preview import making
from gostream_worker.preview.planning import Part, parts_of, rung_of
from services.worker.tests import clips
from services.worker.tests.chunks.fleet import Fleet
from services.worker.tests.chunks.test_films import film as long_film
from services.worker.tests.clips import Clips, make, picture, sound
from services.worker.tests.conftest import Worker
from services.worker.tests.encode.test_chunk_command import film as planned_film
from services.worker.tests.sound_only import sound_clips

stack = pytest.mark.stack


@pytest.mark.parametrize(
    ("starts", "seconds", "parts"),
    [
        ((0, 6, 12, 18), 24.0, [("0", 2.5), ("1", 2.5), ("2", 2.5), ("3", 2.5)]),
        ((0, 6), 8.0, [("0", 0.5), ("0", 2.5), ("0", 4.5), ("1", 0.5)]),
        ((0,), 2.5, [("0", 0.125), ("0", 1.375)]),
        ((0,), 0.04, [("0", 0.0)]),
        ((0, 6), 6.2, [("0", 0.275), ("0", 1.825), ("0", 3.375), ("0", 4.925)]),
    ],
)
def test_parts_are_in_the_middle_of_quarters(
    starts: tuple[float, ...], seconds: float, parts: list[tuple[str, float]]
) -> None:
    named = {str(number): start for number, start in enumerate(starts)}
    assert parts_of(named, seconds) == [Part(*part) for part in parts]


def test_smallest_sufficient_rung_is_shown() -> None:
    plan = planned_film()
    top = plan.rungs[0]
    small = [replace(top, name=f"{side}", width=side, height=side // 2) for side in (640, 320, 200)]

    assert rung_of(replace(plan, rungs=(top, *small))).name == "320"
    assert rung_of(replace(plan, rungs=(small[2],))).name == "200"


def chunks_of(data: bytes) -> list[tuple[str, bytes]]:
    """The RIFF chunks of a WebP file."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    found, at = [], 12
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4].decode(), data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def facts(data: bytes) -> tuple[int, int, float]:
    """The width and height in pixels, and the seconds until it repeats."""
    (header,) = (body for kind, body in chunks_of(data) if kind == "VP8X")
    times = [int.from_bytes(body[12:15], "little") for kind, body in chunks_of(data) if kind == "ANMF"]
    width, height = (int.from_bytes(header[at : at + 3], "little") + 1 for at in (4, 7))
    return width, height, sum(times) / 1000


async def preview(worker: Worker, video: Video) -> bytes:
    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.preview == "v1/preview.webp"
    return (await worker.published(video.id))["v1/preview.webp"]


@stack
@pytest.mark.parametrize(
    ("size", "expected"), [("640x360", (320, 180)), ("360x640", (180, 320)), ("160x90", (160, 90))]
)
async def test_film_has_a_preview(
    worker: Worker, size: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    source = make(tmp_path / "film.mp4", picture(size, 6), sound(6))

    data = await preview(worker, await worker.process(source))

    assert facts(data)[:2] == expected
    assert facts(data)[2] == pytest.approx(4, abs=0.01)
    assert len(data) < 1_000_000


@pytest.mark.slow
@stack
async def test_film_in_chunks_has_a_preview(worker: Worker, database: PostgresDatabase, clip: Clips) -> None:
    fleet = Fleet(worker, database)
    video_id = await worker.upload(clip(long_film))
    await fleet.start(video_id)

    data = await preview(worker, await fleet.work(video_id))

    assert fleet.ran.count("chunk") >= 4
    assert facts(data)[:2] == (320, 180)
    assert facts(data)[2] == pytest.approx(4, abs=0.01)


@stack
async def test_too_large_preview_is_left_out(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LARGEST", 1000)

    video = await worker.process(clip(clips.plain))

    assert video.publication is not None, video.failure
    assert video.publication.preview is None
    assert "v1/preview.webp" not in await worker.published(video.id)


@stack
async def test_failed_preview_does_not_fail_the_film(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "preview_arguments", lambda *_: ["-i", "file:missing", "x"])

    video = await worker.process(clip(clips.plain))

    assert video.publication is not None, video.failure
    assert video.publication.preview is None


@stack
async def test_sound_alone_has_no_preview(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(sound_clips.flac_with_cover))

    assert video.publication is not None, video.failure
    assert video.publication.preview is None


@stack
async def test_preview_can_be_turned_off(worker: Worker, clip: Clips) -> None:
    worker.settings = replace(worker.settings, previews=False)

    video = await worker.process(clip(clips.plain))

    assert video.publication is not None, video.failure
    assert video.publication.preview is None
