"""Colours come from the picture first, then from the container."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.tracks.colour import UNSPECIFIED, Colours, completed, label

NUMBERS = st.integers(0, 255)
RANGES = st.sampled_from([None, False, True])
COLOURS = st.builds(Colours, NUMBERS, NUMBERS, NUMBERS, RANGES)


@given(COLOURS, COLOURS)
def test_picture_colours_take_precedence_over_the_container(picture: Colours, container: Colours) -> None:
    found = completed(picture, container)

    for name in ("matrix", "transfer", "primaries"):
        said, otherwise = getattr(picture, name), getattr(container, name)
        assert getattr(found, name) == (otherwise if said == UNSPECIFIED else said)
    if picture.is_specified:
        assert found.full_range == picture.full_range
    assert completed(found, container) == found


@given(COLOURS)
def test_unspecified_container_colours_change_nothing(picture: Colours) -> None:
    assert completed(picture, Colours()) == picture


@given(COLOURS)
def test_label_is_one_filter(colours: Colours) -> None:
    said = label(colours)

    values = [colours.matrix, colours.transfer, colours.primaries]
    assert re.fullmatch(r"setparams=([a-z_]+=(\d+|full|limited)(:|$))*", said)
    assert said.count("=") == 1 + sum(v not in {2, 3} for v in values) + (colours.full_range is not None)


@pytest.mark.parametrize(("matrix", "transfer"), list(itertools.product(range(20), (1, 2, 14, 16, 18))))
def test_colours_without_a_conversion_are_refused(matrix: int, transfer: int) -> None:
    """YCgCo, constant luminance and ICtCp need a conversion; the last two depend on HDR."""
    colours = Colours(matrix=matrix, transfer=transfer)
    is_hdr = transfer in {16, 18}

    needs = matrix == 8 or (matrix == 10 and not is_hdr) or (matrix == 14 and is_hdr)
    assert (colours.hdr is not None) == is_hdr
    assert (colours.first_conversion is not None) == needs
    assert colours.can_be_converted == (needs or matrix in {0, 1, 2, 3, 4, 5, 6, 7, 9})
