"""Dolby Vision's configuration record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.mp4.dolby_vision import DolbyVision, read_configuration


def record(profile: int, level: int, compatibility: int) -> bytes:
    """A record as in dvcC and dvvC, with RPU and base layer."""
    flags = profile << 9 | level << 3 | 0b101
    return bytes((1, 0)) + flags.to_bytes(2, "big") + bytes((compatibility << 4,)) + bytes(19)


@given(st.integers(0, 127), st.integers(0, 63), st.integers(0, 15))
def test_written_values_are_read_back(profile: int, level: int, compatibility: int) -> None:
    found = read_configuration(record(profile, level, compatibility))

    assert found == DolbyVision(profile, compatibility)
    assert found.needs_a_converter == (compatibility == 0 and profile in {5, 10, 20})


@pytest.mark.parametrize("size", range(5))
def test_truncated_record_is_ignored(size: int) -> None:
    assert read_configuration(record(5, 1, 0)[:size]) is None


@given(st.binary(max_size=64))
def test_arbitrary_bytes_raise_no_error(noise: bytes) -> None:
    found = read_configuration(noise)

    assert (found is None) == (len(noise) < 5)
