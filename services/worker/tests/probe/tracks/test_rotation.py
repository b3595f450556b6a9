"""The rotation of a picture by its display matrix."""

import math

import pytest

from gostream_worker.probe.tracks.rotation import rotation_of

ONE = 1 << 16


def rotated(degrees: float) -> tuple[int, ...]:
    angle = math.radians(degrees)
    sine, cosine = round(ONE * math.sin(angle)), round(ONE * math.cos(angle))
    return cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30


def mirrored(matrix: tuple[int, ...]) -> tuple[int, ...]:
    """A matrix that flips vertically, then rotates."""
    return *matrix[:3], -matrix[3], -matrix[4], *matrix[5:]


def test_missing_matrix_means_no_rotation() -> None:
    assert rotation_of(()) == (0, True)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("off", [-0.9, 0, 0.9])
def test_quarter_turns_and_mirrors_are_recognised(degrees: int, off: float) -> None:
    assert rotation_of(rotated(degrees + off)) == (degrees, True)
    assert rotation_of(mirrored(rotated(degrees + off))) == (degrees, False)


@pytest.mark.parametrize("degrees", [2, 45, 88, 135, 300])
def test_oblique_rotation_is_ignored(degrees: int) -> None:
    assert rotation_of(rotated(degrees)) == (0, False)


def test_empty_matrix_raises_nothing() -> None:
    assert rotation_of((0,) * 9) == (0, True)
