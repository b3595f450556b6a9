"""Channels in codec and container headers."""

from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.tracks.channels import Channels, head_locked, read_channels


def opus(channels: int, family: int) -> bytes:
    return b"OpusHead" + bytes((1, channels)) + bytes(8) + bytes((family,))


def spatial(channels: int, kind: int = 0) -> bytes:
    return bytes((0, kind, 0, 0)) + bytes(4) + channels.to_bytes(4, "big") + bytes(4 * 4)


def aac(kind: int, rate: int, configuration: int) -> bytes:
    """An AudioSpecificConfig, with extended types and explicit rates."""
    kinds = f"{kind:05b}" if kind < 31 else f"{31:05b}{kind - 32:06b}"
    rates = f"{rate:04b}" if rate < 15 else f"{15:04b}{48000:024b}"
    bits = f"{kinds}{rates}{configuration:04b}"
    return int(bits.ljust(48, "0"), 2).to_bytes(6, "big")


@pytest.mark.parametrize("kind", [1, 2, 5, 29, 32, 42])
@pytest.mark.parametrize("rate", [3, 4, 15])
def test_aac_configuration_gives_its_channels(kind: int, rate: int) -> None:
    found = [read_channels("aac", aac(kind, rate, number)).count for number in range(16)]

    assert found == [0, 1, 2, 3, 4, 5, 6, 8] + [0] * 8


@given(st.integers(0, 255), st.integers(0, 255), st.sampled_from(["opus", "libopus"]))
def test_opus_header_gives_channels_and_family(channels: int, family: int, codec: str) -> None:
    found = read_channels(codec, opus(channels, family))

    assert found.count == channels
    # RFC 8486: (n + 1)² ambisonic channels, optionally plus two stereo channels.
    squares = [n * n for n in range(1, 16)]
    fits = channels > 1 and (channels in squares or channels - 2 in squares)
    assert found.is_ambisonic == (family in {2, 3} and fits)


@pytest.mark.parametrize(("channels", "first"), [(4, None), (6, 4), (9, None), (11, 9), (16, None), (18, 16)])
def test_stereo_pair_follows_the_ambisonic_channels(channels: int, first: int | None) -> None:
    assert head_locked(channels) == first


def test_ambisonic_channels_come_from_the_container() -> None:
    assert read_channels("aac", aac(2, 3, 0), spatial(4)) == Channels(4, is_ambisonic=True)
    assert read_channels("aac", aac(2, 3, 2), spatial(4, kind=1)) == Channels(2)
    assert read_channels("aac", aac(2, 3, 2), spatial(4)[:11]) == Channels(2)


@given(
    st.sampled_from(["aac", "opus", "libopus", "flac", "pcm_s16le", ""]),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.integers(0, 19),
)
def test_arbitrary_bytes_raise_no_error(codec: str, header: bytes, box: bytes, cut: int) -> None:
    for data in (header, opus(4, 2)[:cut] + header, aac(42, 15, 6)[: cut % 6] + header):
        found = read_channels(codec, data, box)
        assert 0 <= found.count < 1 << 32
        if found.is_ambisonic:
            assert found.count - isqrt(found.count) ** 2 in {0, 2}
            assert found.count > 1
