"""Sound stays with its picture: within 40 ms of the source, as EBU R37 asks."""

from pathlib import Path

import pytest

from . import lip_sync
from .media import Kitchen, Recipe
from .pipeline import READY, Pipeline

_NEAR = 0.04


@pytest.mark.parametrize(
    "recipe",
    [
        lip_sync.gaps_of_21_ms_in_a_stream,
        lip_sync.without_edit_list,
        *(
            pytest.param(recipe, marks=pytest.mark.slow)
            for recipe in (
                lip_sync.gaps_of_21_ms,
                lip_sync.gaps_of_21_ms_in_matroska,
                lip_sync.gaps_of_85_ms_in_matroska,
                lip_sync.off_the_grid,
                lip_sync.copied,
                lip_sync.faster_stamps,
            )
        ),
    ],
    ids=lambda recipe: recipe.__name__,
)
async def test_sound_stays_with_its_picture(
    recipe: Recipe, kitchen: Kitchen, pipeline: Pipeline, tmp_path: Path
) -> None:
    source = kitchen(recipe)

    outcome = await pipeline.run(source)

    assert outcome.code == READY, outcome.detail
    expected = lip_sync.distances(source, source)
    assert len(expected) == 5
    assert lip_sync.published_distances(outcome, tmp_path) == pytest.approx(expected, abs=_NEAR)
