"""What the corpus' tests share: its files, and one worker's pipeline that meets them all."""

from collections.abc import Iterator

import pytest

from .media import Kitchen
from .pipeline import Pipeline


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """A file by the recipe that makes it: `kitchen(hostile.empty)`."""
    return Kitchen(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One for the whole session: what a file breaks, the files after it notice."""
    with Pipeline.open(tmp_path_factory.mktemp("work")) as pipeline:
        yield pipeline
