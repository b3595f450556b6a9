import shutil
from pathlib import Path

import pytest

from .trees import build


@pytest.fixture(scope="session")
def good_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that conforms to every rule. Read-only: tests that change it use `tree`."""
    directory = tmp_path_factory.mktemp("hls")
    build(directory)
    return directory


@pytest.fixture
def tree(good_tree: Path, tmp_path: Path) -> Path:
    """A copy that tests may change."""
    return shutil.copytree(good_tree, tmp_path / "hls")
