"""The options of an encode: what is accepted, and which field is refused."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from gostream.v1.video_service_pb2 import ProcessOptions
from gostream_api.rpc.fields.options import encode_options
from gostream_shared.domain.videos.options import USUAL, EncodeOptions


def refused(**fields: Any) -> tuple[EncodeOptions, list[str]]:
    wrong: list[str] = []

    def require(holds: bool, field: str, why: str) -> None:
        if not holds:
            wrong.append(field)

    found = encode_options(require, ProcessOptions(**fields), "options")
    return found, wrong


def seconds(whole: int, nanos: int = 0) -> Duration:
    return Duration(seconds=whole, nanos=nanos)


def test_absent_options_are_the_usual_ones() -> None:
    assert refused(profile="quality") == (USUAL, [])
    assert refused(start=seconds(0)) == (USUAL, [])


def test_options_are_read_exactly() -> None:
    found, wrong = refused(
        start=seconds(1, 500_000_000),
        end=seconds(3, 1_000),
        poster_offset=seconds(0, 40_000_000),
        downloads=["audio", "highest"],
    )
    assert wrong == []
    assert found == EncodeOptions(
        start=timedelta(seconds=1.5),
        end=timedelta(seconds=3, microseconds=1),
        poster_at=timedelta(milliseconds=40),
        downloads=("highest", "audio"),
    )


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"start": seconds(-1)}, ["start"]),
        ({"start": seconds(0, -1)}, ["start"]),
        ({"end": seconds(2**62)}, ["end"]),
        ({"end": Duration(seconds=1, nanos=2_000_000_000)}, ["end"]),
        ({"end": seconds(0)}, ["end"]),
        ({"start": seconds(5), "end": seconds(5)}, ["end"]),
        ({"start": seconds(5), "end": seconds(5, 999_000_000)}, ["end"]),
        ({"end": seconds(5), "poster_offset": seconds(5)}, ["poster_offset"]),
        ({"start": seconds(2), "end": seconds(5), "poster_offset": seconds(3)}, ["poster_offset"]),
        ({"poster_offset": seconds(86_400 * 8)}, ["poster_offset"]),
        ({"downloads": ["lowest"]}, ["downloads"]),
        ({"downloads": ["audio", "audio"]}, ["downloads"]),
        ({"downloads": ["audio"] * 10_000}, ["downloads"]),
    ],
)
def test_wrong_option_is_named(fields: dict[str, Any], names: list[str]) -> None:
    assert refused(**fields)[1] == [f"options.{name}" for name in names]
