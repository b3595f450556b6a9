"""The kept inputs of the fuzz targets, and a few mutants of them. `make fuzz` looks for new ones."""

from pathlib import Path

import pytest

from tests.fuzz import targets

_MUTANTS = 200


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(name, path, id=f"{name}-{path.name}")
        for name in targets.TARGETS
        for path in targets.kept(name)
    ],
)
def test_kept_input_breaks_no_promise(name: str, path: Path) -> None:
    targets.TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", targets.TARGETS)
def test_mutants_break_no_promise(name: str) -> None:
    for data in targets.mutants(name, _MUTANTS):
        try:
            targets.TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"input {data!r}") from error
