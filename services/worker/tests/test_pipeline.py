"""The pipeline on a real database, object store and encoder: good sources of every kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import pytest

from gostream_shared.db.database import PostgresDatabase, PostgresTransaction
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage import StoredObject
from gostream_worker.attempts import DONE
from gostream_worker.measuring import measure

from . import clips
from .clips import Clips, Recipe
from .conftest import Worker
from .player import attributes, average_color, broken_rules, durations, play, variants

pytestmark = pytest.mark.stack


async def test_a_film_is_published_whole(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))

    assert video.status is VideoStatus.READY, video.failure
    published = await worker.published(video.id)
    assert sorted(name for name in published if "early" not in name) == [
        "master.m3u8",
        "v1/180p/00000.ts",
        "v1/180p/00001.ts",
        "v1/180p/iframes.m3u8",
        "v1/180p/playlist.m3u8",
        "v1/360p/00000.ts",
        "v1/360p/00001.ts",
        "v1/360p/iframes.m3u8",
        "v1/360p/playlist.m3u8",
        "v1/audio/00000.ts",
        "v1/audio/00001.ts",
        "v1/audio/playlist.m3u8",
        "v1/poster.jpg",
        "v1/storyboard.jpg",
        "v1/storyboard.vtt",
    ]
    assert worker.recorder.announced[-1] == (video.id, video.version)
    assert worker.recorder.refreshed == [video.id]
    assert worker.leftovers() == []


async def test_the_row_says_what_was_published(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))

    publication = video.publication
    assert publication is not None
    assert publication.duration.total_seconds() == pytest.approx(7.5075, abs=1 / 29.97)
    assert (publication.source.container, publication.source.codecs) == ("mov", ("h264", "aac"))
    assert [(rung.name, rung.width, rung.height) for rung in publication.renditions] == [
        ("360p", 640, 360),
        ("180p", 320, 180),
    ]
    assert publication.poster == "v1/poster.jpg"
    master = await worker.master(video.id)
    assert sorted(attributes(master, "BANDWIDTH")) == sorted(
        str(rung.peak_bandwidth) for rung in publication.renditions
    )


async def test_every_variant_decodes_without_a_complaint_and_no_frame_is_lost(
    worker: Worker, clip: Clips
) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    master = await worker.save(video.id)

    assert await broken_rules(master) == []
    for variant in range(2):
        played = await asyncio.to_thread(play, master, variant)
        assert (played.frames, played.complaints) == (225, "")


async def test_rungs_are_cut_at_the_same_frames_and_sound_begins_with_the_picture(
    worker: Worker, clip: Clips
) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    published = await worker.published(video.id)

    rungs = {
        rung: [measure(published[f"v1/{rung}/{name}"]) for name in ("00000.ts", "00001.ts")]
        for rung in ("360p", "180p")
    }
    starts = {rung: [segment.first_pts for segment in segments] for rung, segments in rungs.items()}
    gop_aligned = 180 * Fraction(1001, 30000) * 90_000
    assert starts["360p"] == starts["180p"] == [900_000, 900_000 + gop_aligned]
    assert [durations(published[f"v1/{rung}/playlist.m3u8"].decode()) for rung in rungs] == [
        [6.006, 1.5015]
    ] * 2
    sound = measure(published["v1/audio/00000.ts"])
    assert abs(sound.first_pts - 900_000) <= 1920, "more than one AAC frame away"


async def test_the_master_declares_what_was_measured(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    published = await worker.published(video.id)
    master = published["master.m3u8"].decode()

    sizes = {name: len(data) for name, data in published.items() if name.endswith(".ts")}
    audio = sum(size for name, size in sizes.items() if "audio" in name) * 8 / 7.5
    for uri, average in zip(variants(master), attributes(master, "AVERAGE-BANDWIDTH"), strict=True):
        folder = uri.rpartition("/")[0]
        picture = sum(size for name, size in sizes.items() if name.startswith(folder)) * 8 / 7.5075
        assert int(average) == pytest.approx(picture + audio, rel=0.01)
    assert set(attributes(master, "FRAME-RATE")) == {"29.970"}
    assert set(attributes(master, "RESOLUTION")) == {"640x360", "320x180"}
    for uri, codecs in zip(variants(master), attributes(master, "CODECS"), strict=True):
        first = measure(published[uri.replace("playlist.m3u8", "00000.ts")])
        assert codecs == f"{first.codec},mp4a.40.2"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in master


async def test_progress_is_told_in_order_and_never_falls(worker: Worker, clip: Clips) -> None:
    await worker.process(clip(clips.long_enough_for_two_segments))

    progress = worker.recorder.progress
    percents = [report.percent for report in progress]
    assert percents == sorted(percents)
    stages = list(dict.fromkeys(report.stage for report in progress))
    order = ["fetching", "probing", "encoding", "publishing"]
    assert stages == [stage for stage in order if stage in stages]
    assert "encoding" in stages


@pytest.mark.parametrize(
    ("recipe", "sizes", "fps"),
    [
        (clips.rotated, ["180x320"], "25.000"),
        (clips.odd_size, ["426x240", "212x120"], "25.000"),
        (clips.anamorphic, ["320x180"], "25.000"),
        (clips.fast, ["320x180"], "60.000"),
        (clips.interlaced, ["352x288", "176x144"], "25.000"),
        (clips.hdr10, ["320x180"], "25.000"),
        (clips.prores, ["320x180"], "25.000"),
        (clips.webm, ["320x180"], "25.000"),
        (clips.live_webm, ["320x180"], "25.000"),
        (clips.size_change, ["320x180"], "25.000"),
        (clips.one_frame, ["320x180"], "25.000"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_unusual_pictures_come_out_upright_square_and_even(
    worker: Worker, clip: Clips, recipe: Recipe, sizes: list[str], fps: str
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    master = await worker.save(video.id)
    text = await worker.master(video.id)
    assert sorted(attributes(text, "RESOLUTION")) == sorted(sizes)
    assert set(attributes(text, "FRAME-RATE")) == {fps}
    assert await broken_rules(master) == []
    for variant in range(len(sizes)):
        assert (await asyncio.to_thread(play, master, variant)).complaints == ""


@pytest.mark.parametrize("recipe", [clips.mono_8khz, clips.surround, clips.late_sound, clips.many_tracks])
async def test_unusual_sound_comes_out_as_one_stereo_rendition(
    worker: Worker, clip: Clips, recipe: Recipe
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    text = await worker.master(video.id)
    assert text.count("#EXT-X-MEDIA:") == 1
    assert 'CHANNELS="2"' in text
    first = (await worker.published(video.id))["v1/audio/00000.ts"]
    assert abs(measure(first).first_pts - 900_000) <= 1920, "the sound slipped against the picture"
    master = await worker.save(video.id)
    assert await broken_rules(master) == []
    assert (await asyncio.to_thread(play, master, 0)).complaints == ""


@pytest.mark.parametrize(
    ("recipe", "frames"), [(clips.cut_beyond_the_end, {75}), (clips.cut_between_key_frames, {37, 38})]
)
async def test_a_cut_made_without_encoding_plays(
    worker: Worker, clip: Clips, recipe: Recipe, frames: set[int]
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    played = await asyncio.to_thread(play, await worker.save(video.id), 0)
    assert played.frames in frames
    assert played.complaints == ""


async def test_a_turned_picture_is_upright(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(clips.rotated))
    await worker.save(video.id)

    ours = tmp_path / "published/v1/180p/00000.ts"
    for half in ("crop=iw:ih/2:0:0", "crop=iw:ih/2:0:ih/2"):
        colors = zip(average_color(ours, half), average_color(clip(clips.rotated), half), strict=True)
        assert all(abs(one - other) < 8 for one, other in colors)


async def test_a_silent_film_has_no_audio_group(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.silent))

    text = await worker.master(video.id)
    assert "AUDIO" not in text
    assert all("mp4a" not in codecs for codecs in attributes(text, "CODECS"))
    assert (await asyncio.to_thread(play, await worker.save(video.id), 0)).frames == 50


async def test_an_unsteady_frame_rate_becomes_steady_and_keeps_its_length(
    worker: Worker, clip: Clips
) -> None:
    video = await worker.process(clip(clips.variable_rate))

    assert video.publication is not None
    assert video.publication.duration.total_seconds() == pytest.approx(2, abs=0.05)
    assert (await asyncio.to_thread(play, await worker.save(video.id), 0)).frames == 50


async def test_high_dynamic_range_is_mapped_not_just_cut(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(clips.hdr10))
    await worker.save(video.id)

    mapped = average_color(tmp_path / "published/v1/180p/00000.ts")
    raw = average_color(clip(clips.hdr10))
    assert mapped != raw
    assert max(mapped) < 250


async def test_every_attempt_has_the_profile_that_was_asked_for(worker: Worker, clip: Clips) -> None:
    small = replace(worker.settings.profiles["quality"], rungs=(90,))
    worker.settings = replace(worker.settings, profiles={**worker.settings.profiles, "quality": small})
    video_id = await worker.upload(clip(clips.webm))
    job = await worker.start(video_id, profile="quality")
    await worker.outside.database.videos.begin_attempt(video_id, job.number, worker="one that died")

    await worker.attempts.transcode(job)

    publication = (await worker.video(video_id)).publication
    assert publication is not None
    assert [rung.name for rung in publication.renditions] == ["90p"]


async def test_a_profile_that_no_worker_knows_fails_by_its_name(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id, profile="of a newer version")

    verdicts = [await worker.attempts.transcode(job) for _ in range(3)]

    assert [verdict.again_in is None for verdict in verdicts] == [False, False, True], "others may know it"
    failure = (await worker.video(video_id)).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("UNKNOWN_PROFILE", True)


async def test_encoding_again_leaves_the_old_stream_to_its_viewers(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    before = await worker.published(video.id)

    await worker.run_again(video.id)

    after = await worker.published(video.id)
    assert {name: after[name] for name in before if name != "master.m3u8"} == {
        name: data for name, data in before.items() if name != "master.m3u8"
    }
    assert all(uri.startswith("v2/") for uri in variants(after["master.m3u8"].decode()))
    assert (await worker.video(video.id)).published_number == 2


async def test_what_an_attempt_before_has_left_is_not_published(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.plain))
    await worker.outside.store.put(f"hls/{video_id}/v1/720p/00000.ts", b"x", content_type="video/mp2t")

    await worker.run_again(video_id)

    assert not [name for name in await worker.published(video_id) if "720p" in name]


async def test_a_source_replaced_before_it_is_copied_is_taken_as_it_is_then(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await worker.upload(clip(clips.silent))
    job = await worker.start(video_id)
    store = worker.outside.store
    download = store.download

    async def replace_first(key: str, to: Path, *, etag: str) -> None:
        await store.put(key, clip(clips.odd_size), content_type="video/mp4")
        await download(key, to, etag=etag)

    with monkeypatch.context() as patch:
        patch.setattr(store, "download", replace_first)
        assert (await worker.attempts.transcode(job)).again_in is not None
    await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.renditions[0].height == 240


async def test_who_loses_the_fence_on_the_way_to_publication_writes_no_master(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    store = worker.outside.store
    listed = store.list

    async def overtaken(prefix: str) -> AsyncIterator[StoredObject]:
        """The last thing before publication is a look at the store."""
        await worker.outside.database.videos.begin_attempt(video_id, job.number, worker="successor")
        async for found in listed(prefix):
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(store, "list", overtaken)
        assert await worker.attempts.transcode(job) == DONE

    assert (await worker.video(video_id)).status is VideoStatus.PROCESSING
    published = set(await worker.published(video_id))
    assert published == {"v1/poster.jpg", "v1/storyboard.jpg", "v1/storyboard.vtt"}, "the renditions are gone"


async def test_the_same_job_delivered_twice_at_once_leaves_one_set_of_bytes(
    worker: Worker, clip: Clips
) -> None:
    video_id = await worker.upload(clip(clips.long_enough_for_two_segments))
    job = await worker.start(video_id)

    verdicts = await asyncio.gather(worker.attempts.transcode(job), worker.attempts.transcode(job))

    assert set(verdicts) == {DONE}
    video = await worker.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2), video.failure
    published = await worker.published(video_id)
    segments = [name for name in published if name.endswith(".ts")]
    assert len(segments) == 6
    assert all(name.endswith("-2.ts") for name in segments), "of the first delivery nothing is left"
    assert await broken_rules(await worker.save(video_id)) == []
    assert worker.leftovers() == []


async def test_a_slow_announcement_does_not_turn_success_into_a_lost_fence(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.reporting.PUBLISH_INTERVAL", 0.01)

    async def slow(video_id: UUID, version: int) -> None:
        await asyncio.sleep(0.5)

    monkeypatch.setattr(worker.recorder, "announce", slow)
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    encode = await worker.outside.database.videos.begin_attempt(video_id, job.number, worker="test")

    assert (await worker.service.run(encode)).status is VideoStatus.READY


async def test_a_failed_second_encode_leaves_the_first_published(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    master = await worker.master(video.id)
    await worker.outside.store.put(video.source_key, b"not a video any more", content_type="video/mp4")

    await worker.run_again(video.id)

    after = await worker.video(video.id)
    assert (after.status, after.published_number) == (VideoStatus.FAILED, 1)
    assert await worker.master(video.id) == master


class AnswerLost(PostgresDatabase):
    """Loses its connection right after the first commit."""

    lost = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with super().transaction() as transaction:
            yield transaction
        if not self.lost:
            self.lost = True
            raise BackendUnavailableError("database")


async def test_a_publication_whose_answer_was_lost_keeps_its_segments(
    worker: Worker, database: PostgresDatabase, clip: Clips
) -> None:
    worker.outside = replace(worker.outside, database=AnswerLost(database.pool))
    worker.settings = replace(worker.settings, step_patience=30.0)

    video = await worker.process(clip(clips.long_enough_for_two_segments))

    assert video.status is VideoStatus.READY
    assert await broken_rules(await worker.save(video.id)) == []
