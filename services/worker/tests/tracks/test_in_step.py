"""Flashes, beeps and cues stay together: in every language, from the start to the end, and after a switch."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from gostream_conformance.formats.subtitles import parse_text
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Video, VideoStatus
from services.worker.tests.chunks.fleet import Fleet
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, play
from services.worker.tests.tracks import track_clips
from services.worker.tests.tracks.test_matrix import fates, media
from tests.corpus.lip_sync import distances, flashes

pytestmark = pytest.mark.stack
#: Of 25 a second, with room for the rounding of times.
FRAME = 0.041
#: The time of the first picture in a published stream.
OFFSET = 10.0
SOUNDS = ("audio", "audio-de", "audio-fr")
LINES = [
    *(
        f'TYPE=AUDIO,GROUP-ID="audio",LANGUAGE="{language}",NAME="{name}",DEFAULT={default},AUTOSELECT=YES,'
        f'CHANNELS="2",URI="v1/{folder}/playlist.m3u8"'
        for language, name, default, folder in (
            ("en", "English", "YES", "audio"),
            ("de", "Deutsch", "NO", "audio-de"),
            ("fr", "Français", "NO", "audio-fr"),
        )
    ),
    (
        'TYPE=SUBTITLES,GROUP-ID="text",LANGUAGE="en",NAME="English",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,'
        'URI="v1/text-en/playlist.m3u8"'
    ),
]


def segments(published: Mapping[str, bytes], folder: str) -> list[bytes]:
    names = sorted(name for name in published if name.startswith(f"v1/{folder}/") and name.endswith(".ts"))
    return [published[name] for name in names]


def stored(path: Path, parts: list[bytes]) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def require_step(published: Mapping[str, bytes], folder: Path, seconds: int) -> None:
    """Compares each flash with each language, with every switch in the middle, and with the cues."""
    picture = stored(folder / "picture.ts", segments(published, "180p"))
    seen = flashes(picture)
    assert [time - OFFSET for time in seen] == pytest.approx(range(2, seconds, 2), abs=FRAME)
    sounds = {name: segments(published, name) for name in SOUNDS}
    for name, parts in sounds.items():
        found = distances(picture, stored(folder / f"{name}.ts", parts))
        assert max(map(abs, found)) < FRAME, (name, found)
    for before, after in zip(SOUNDS, (*SOUNDS[1:], SOUNDS[0]), strict=True):
        middle = len(sounds[before]) // 2
        assert middle > 0
        switched = sounds[before][:middle] + sounds[after][middle:]
        found = distances(picture, stored(folder / "switched.ts", switched))
        assert max(map(abs, found)) < FRAME, (before, after, found)
    cues = parse_text(published["v1/text-en/subtitles.vtt"]).cues
    assert [cue.start / 1000 for cue in cues] == pytest.approx([time - OFFSET for time in seen], abs=0.04)


async def require_published(worker: Worker, video: Video, folder: Path, seconds: int) -> None:
    assert video.status is VideoStatus.READY, video.failure
    assert fates(video) == ["audio-1 READY", "audio-2 READY", "audio-3 READY", "subtitles-4 READY"]
    assert media(await worker.master(video.id)) == LINES
    master = await worker.save(video.id)
    assert await broken_rules(master) == []
    played = await asyncio.to_thread(play, master, 0)
    assert (played.frames, played.complaints) == (seconds * 25, "")
    await asyncio.to_thread(require_step, await worker.published(video.id), folder, seconds)


async def test_every_language_is_in_step(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(track_clips.in_step))

    await require_published(worker, video, tmp_path, 12)


@pytest.mark.slow
async def test_languages_of_chunked_film_are_in_step(
    worker: Worker, database: PostgresDatabase, clip: Clips, tmp_path: Path
) -> None:
    fleet = Fleet(worker, database)
    video_id = await worker.upload(clip(track_clips.long_in_step))
    await fleet.start(video_id)

    video = await fleet.work(video_id)

    assert fleet.ran.count("chunk") >= 4
    await require_published(worker, video, tmp_path, 44)
