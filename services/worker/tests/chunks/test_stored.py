"""What workers leave each other in the database is read back exactly."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from gostream_shared.domain.tracks import TrackCode
from gostream_shared.domain.videos.loudness import Loudness
from gostream_shared.domain.videos.options import EncodeOptions
from gostream_shared.storage.port import StoredObject
from gostream_worker.chunks.stored import (
    ChunkOutput,
    Heard,
    Planned,
    StoredSegment,
    heard_bytes,
    heard_from,
    output_from,
    output_json,
    planned_from,
    planned_json,
)
from gostream_worker.plan.clip import with_options
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.profiles import PROFILES
from gostream_worker.probe.probe import probe_source
from gostream_worker.publish.measure import measure
from gostream_worker.text.cues import Cue
from services.worker.tests import clips
from services.worker.tests.chunks.test_films import film, film_with_text
from services.worker.tests.clips import Clips, Recipe, make, picture, sound


def segment(folder: Path) -> Path:
    return make(folder / "segment.ts", picture(seconds=4), sound(4))


def through_postgres(text: str) -> str:
    """jsonb sorts keys and changes white space."""
    return json.dumps(json.loads(text), sort_keys=True)


@pytest.mark.parametrize("recipe", [film, film_with_text, clips.surround, clips.long_enough_for_two_segments])
@pytest.mark.parametrize("may_copy", [True, False])
async def test_plan_is_read_back_exactly(clip: Clips, recipe: Recipe, may_copy: bool) -> None:
    source = clip(recipe)
    found = await probe_source(f"file:{source}", folder=source.parent)
    plan = make_plan(found, PROFILES["default"], may_copy=may_copy, may_divide=True)
    planned = Planned(probe=found, plan=plan, source=StoredObject(key="k", size=1, etag='"e"'), encoder="9.0")

    again = planned_from(through_postgres(planned_json(planned)))
    assert again.plan == plan
    assert (again.source, again.encoder) == (planned.source, "9.0")
    assert (again.probe.container, again.probe.size_bytes) == (found.container, found.size_bytes)


@pytest.mark.parametrize("poster_at", [None, timedelta(seconds=40.2)])
async def test_options_are_read_back_exactly(clip: Clips, poster_at: timedelta | None) -> None:
    source = clip(film)
    found = await probe_source(f"file:{source}", folder=source.parent)
    plan = make_plan(found, PROFILES["default"], may_copy=False, may_divide=True)
    asked = with_options(plan, EncodeOptions(poster_at=poster_at))
    part = with_options(asked, EncodeOptions(start=timedelta(seconds=3.3), end=timedelta(seconds=44)))
    assert not plan.is_whole
    assert part.clip is not None

    for each in (asked, part):
        planned = Planned(probe=found, plan=each, source=StoredObject(key="k", size=1, etag='"e"'))
        assert planned_from(through_postgres(planned_json(planned))).plan == each


def test_measures_are_read_back_exactly(clip: Clips) -> None:
    found = measure(clip(segment).read_bytes())
    output = ChunkOutput(
        segments=(StoredSegment(name="360p/00000.ts", size=1, sha256="00", measure=found),), damaged=3
    )
    assert output_from(through_postgres(output_json(output))) == output


def test_texts_and_loudness_are_read_back_exactly() -> None:
    cues = (Cue(0, 1000, "<i>ä &lt; \u2028</i>"), Cue(1, 2, ""))
    heard = Heard(
        texts=(cues, TrackCode.UNREADABLE_SUBTITLES, ()),
        loudness=Loudness(integrated_lufs=-23.0, true_peak_dbtp=-1.5),
    )
    assert heard_from(heard_bytes(heard)) == heard


def test_plan_of_another_release_is_an_error() -> None:
    with pytest.raises(ValueError, match="probe"):
        planned_from('{"plan": {}}')
