"""Chunks have exactly the frames that one process has, for every kind of source."""

from collections import Counter
from dataclasses import replace

import pytest

from gostream_worker.plan.chunks import WHOLE, ChunkKind
from services.worker.tests.chunks import films
from services.worker.tests.chunks.chunk_runs import QUICK, divided, frames
from services.worker.tests.clips import Clips, Recipe
from tests.support.quick import first_quick

#: Two segments of two seconds in each chunk: more borders in a short film. Faster sources lose frames.
_PROFILE = replace(QUICK, gop_seconds=1, segment_seconds=2, max_fps=30)


@pytest.mark.parametrize("kind", first_quick(films.KINDS, 3), ids=lambda kind: kind.__name__)
def test_chunks_have_the_frames_of_one_process(clip: Clips, kind: Recipe) -> None:
    source = clip(kind)
    plan = divided(source, _PROFILE)
    shown = [chunk for chunk in plan.chunks if chunk.has_picture]

    assert len(shown) >= 8
    found = Counter(frame for chunk in shown for frame in frames(plan, chunk, source))
    expected = Counter(frames(plan, WHOLE, source))
    assert found == expected, sorted((found - expected) | (expected - found))[:10]
    assert set(expected.values()) == {1}


@pytest.mark.parametrize("kind", first_quick(films.HEARD, 2), ids=lambda kind: kind.__name__)
def test_sound_is_that_of_one_process(clip: Clips, kind: Recipe) -> None:
    source = clip(kind)
    plan = divided(source, _PROFILE)
    [sound] = [chunk for chunk in plan.chunks if chunk.kind is ChunkKind.SOUND]

    assert frames(plan, sound, source, of="a") == frames(plan, WHOLE, source, of="a") != []


@pytest.mark.parametrize("kind", first_quick(films.WHOLE, 2), ids=lambda kind: kind.__name__)
def test_source_with_uncertain_pictures_is_whole(clip: Clips, kind: Recipe) -> None:
    assert divided(clip(kind), _PROFILE).chunks == (WHOLE,)
