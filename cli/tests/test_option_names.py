"""The command line's names of states and policies are the contract's."""

from gostream.v1 import video_pb2, video_service_pb2
from gostream_cli.options import KINDS, LOUDNESS, POLICIES, STATUSES


def test_statuses_are_those_of_the_contract() -> None:
    names = [name for name, number in video_pb2.Video.Status.items() if number]

    assert [f"STATUS_{status.upper().replace('-', '_')}" for status in STATUSES] == names


def test_policies_are_those_of_the_contract() -> None:
    names = [name for name, number in video_pb2.PlaybackPolicy.items() if number]

    assert [f"PLAYBACK_POLICY_{policy.upper()}" for policy in POLICIES] == names


def test_kinds_are_those_of_the_contract() -> None:
    names = [name for name, number in video_pb2.MediaKind.items() if number]

    assert [f"MEDIA_KIND_{kind.upper()}" for kind in KINDS] == names


def test_targets_of_loudness_are_those_of_the_contract() -> None:
    names = [name for name, number in video_service_pb2.LoudnessTarget.items() if number]

    assert [f"LOUDNESS_TARGET_LUFS_{lufs.removeprefix('-')}" for lufs in LOUDNESS] == names
