"""Added subtitles in the published stream, on a real database and object store."""

from pathlib import Path

import pytest

from gostream_shared.domain.companions.added_tracks import TrackChanges
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.tracks import TrackState
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError
from gostream_worker.jobs.cleanup import Removal
from gostream_worker.jobs.verdict import DONE
from services.worker.tests import clips
from services.worker.tests.clips import Clips, ffmpeg
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules
from services.worker.tests.tracks import track_clips

from .conftest import SRT, Captions

pytestmark = pytest.mark.stack


def podcast(folder: Path) -> Path:
    """4 s of stereo AAC without a picture."""
    tone = ["-f", "lavfi", "-i", "sine=duration=4:sample_rate=48000", "-ac", "2", "-c:a", "aac"]
    ffmpeg(*tone, "-b:a", "128k", str(folder / "podcast.m4a"))
    return folder / "podcast.m4a"


async def test_track_is_published_without_an_encode(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    before = await worker.published(video.id)
    track_id = await captions.add(video.id)

    assert await captions.publish(video.id) == DONE

    after = await worker.video(video.id)
    assert (after.version, after.encode_number, after.attempt) == (video.version + 1, 1, 1)
    (line,) = await captions.lines(video.id)
    assert 'LANGUAGE="de",NAME="Deutsch",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO' in line
    track = (await captions.tracks(video.id))[track_id]
    assert (track.state, track.name, track.is_embedded) == ("READY", "Deutsch", False)
    published = await worker.published(video.id)
    assert {name: data for name, data in published.items() if name in before and name != "master.m3u8"} == {
        name: data for name, data in before.items() if name != "master.m3u8"
    }
    assert "00:00:00.500 --> 00:00:01.500\n<i>First</i> &amp; last" in published[track.path or ""].decode()
    assert await broken_rules(await worker.save(video.id)) == []
    assert worker.recorder.announced[-1] == (video.id, after.version)
    assert worker.recorder.refreshed == [video.id, video.id]
    assert worker.leftovers() == []


async def test_repeated_job_changes_nothing(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    await captions.add(video.id)
    await captions.publish(video.id)
    after, objects = await worker.video(video.id), await worker.published(video.id)

    assert await captions.publish(video.id) == DONE

    assert await worker.video(video.id) == after
    assert await worker.published(video.id) == objects


async def test_track_of_before_is_published_with_the_encode(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video_id = await worker.upload(clip(track_clips.matroska_texts))
    track_id = await captions.add(video_id, name='The "director"')
    await captions.publish(video_id)

    await worker.attempts.transcode(await worker.start(video_id))

    track = (await captions.tracks(video_id))[track_id]
    assert (track.state, track.name) == (TrackState.READY, "The 'director'")
    assert (await captions.lines(video_id))[-1].count("added-") == 1
    assert await broken_rules(await worker.save(video_id)) == []
    version = (await worker.video(video_id)).version
    await captions.publish(video_id)  # the job that the publication has enqueued
    assert (await worker.video(video_id)).version == version


async def test_another_encode_keeps_added_tracks(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    track_id = await captions.add(video.id, is_sdh=True)
    await captions.publish(video.id)

    await worker.run_again(video.id)

    track = (await captions.tracks(video.id))[track_id]
    assert (track.path or "").startswith("v2/added-")
    (line,) = await captions.lines(video.id)
    assert "v2/added-" in line
    assert "transcribes-spoken-dialog" in line
    assert await broken_rules(await worker.save(video.id)) == []


async def test_changes_of_a_track_reach_the_playlist(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    track_id = await captions.add(video.id)
    await captions.publish(video.id)
    changes = TrackChanges(
        fields=frozenset({"name", "is_default", "language"}), name="CH", is_default=True, language="de-CH"
    )
    tracks = worker.dependencies.database.added_tracks
    await tracks.update(video.id, track_id, changes)

    await captions.publish(video.id)

    (line,) = await captions.lines(video.id)
    assert 'LANGUAGE="de-CH",NAME="CH",DEFAULT=YES,AUTOSELECT=YES' in line
    track = (await captions.tracks(video.id))[track_id]
    assert (track.name, track.is_default) == ("CH", True)
    assert await broken_rules(await worker.save(video.id)) == []


async def test_deleted_track_leaves_the_playlist_then_the_store(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video = await worker.process(clip(clips.plain))
    master, objects = await worker.master(video.id), await worker.published(video.id)
    track_id = await captions.add(video.id)
    await captions.publish(video.id)
    await worker.dependencies.database.added_tracks.delete(video.id, track_id)

    await captions.publish(video.id)

    assert await worker.master(video.id) == master
    assert await captions.tracks(video.id) == {}
    removal = Removal(worker.dependencies.database, worker.dependencies.store)
    await removal.remove(RemoveJob(video_id=video.id, number=-1, track=track_id))
    assert await worker.published(video.id) == objects
    with pytest.raises(ObjectNotFoundError):
        await worker.dependencies.store.head(track_key(video.id, track_id))


async def test_removal_keeps_a_track_that_is_used(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    track_id = await captions.add(video.id)
    await captions.publish(video.id)
    objects = await worker.published(video.id)

    removal = Removal(worker.dependencies.database, worker.dependencies.store)
    await removal.remove(RemoveJob(video_id=video.id, number=-1, track=track_id))

    assert await worker.published(video.id) == objects


async def test_unreadable_track_fails_with_a_code(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    bad = await captions.add(video.id, b"\x7fELF" + bytes(range(256)) * 40)
    good = await captions.add(video.id, language="en")
    late = await captions.add(video.id, SRT.replace("00:00:0", "01:00:0"), language="fr")

    await captions.publish(video.id)

    found = await captions.tracks(video.id)
    assert [(found[each].state, found[each].error_code) for each in (bad, good, late)] == [
        ("FAILED", "UNREADABLE_SUBTITLES"),
        ("READY", ""),
        ("FAILED", "EMPTY_TRACK"),
    ]
    assert len(await captions.lines(video.id)) == 1


async def test_tracks_beyond_the_limit_fail(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    ids = [await captions.add(video.id, name="Same") for _ in range(17)]

    await captions.publish(video.id)

    assert (await captions.tracks(video.id))[ids[-1]].error_code == "TOO_MANY_TRACKS"
    assert len(await captions.lines(video.id)) == 16
    assert await broken_rules(await worker.save(video.id)) == []


async def test_deletion_of_the_video_removes_its_tracks(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video = await worker.process(clip(clips.plain))
    track_id = await captions.add(video.id)
    await captions.publish(video.id)
    await worker.dependencies.database.videos.delete(video.id)

    assert await captions.publish(video.id) == DONE
    await worker.collect()

    assert await worker.published(video.id) == {}
    with pytest.raises(ObjectNotFoundError):
        await worker.dependencies.store.head(track_key(video.id, track_id))


async def test_track_waits_while_an_encode_is_published(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    """The master playlist names an encode that is not committed."""
    video = await worker.process(clip(clips.plain))
    await captions.add(video.id)
    await worker.start(video.id)
    store, key = worker.dependencies.store, f"hls/{video.id}/master.m3u8"
    stands = (await store.get(key)).decode()
    for path in ("180p/playlist.m3u8", "180p/00000.ts"):
        await store.put(
            f"hls/{video.id}/v2/{path}", await store.get(f"hls/{video.id}/v1/{path}"), content_type="x/x"
        )
    await store.put(key, stands.replace("v1/", "v2/").encode(), content_type="x/x")

    verdict = await captions.publish(video.id)

    assert verdict.again_in is not None
    assert await captions.lines(video.id) == []
    assert (await worker.video(video.id)).status is VideoStatus.PROCESSING


async def test_sound_alone_gets_a_transcript(worker: Worker, captions: Captions, clip: Clips) -> None:
    video_id = await worker.upload(clip(podcast))
    await captions.add(video_id)
    await captions.publish(video_id)
    await worker.attempts.transcode(await worker.start(video_id))

    await captions.publish(video_id)  # the job that the publication has enqueued

    (line,) = await captions.lines(video_id)
    assert "added-" in line
    assert (await worker.master(video_id)).count('SUBTITLES="text"') == 2
    assert await broken_rules(await worker.save(video_id)) == []
