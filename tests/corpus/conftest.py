"""Fixtures of the corpus tests: generated files, and one worker pipeline for all of them."""

from collections.abc import Iterator

import pytest

from .media import Kitchen
from .pipeline import Pipeline


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Returns the file of a recipe: `kitchen(hostile.empty)`."""
    return Kitchen(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One pipeline per session, so that damage by one file shows in later files."""
    with Pipeline.open(tmp_path_factory.mktemp("work")) as pipeline:
        yield pipeline
