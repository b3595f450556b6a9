"""The command line's names of states are the contract's."""

from gostream.v1 import video_pb2
from gostream_cli.statuses import STATUSES


def test_statuses_are_those_of_the_contract() -> None:
    names = [name for name, number in video_pb2.Video.Status.items() if number]

    assert [f"STATUS_{status.upper().replace('-', '_')}" for status in STATUSES] == names
