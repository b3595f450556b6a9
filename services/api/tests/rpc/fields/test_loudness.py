"""The targets of loudness are those of the contract, by number and name."""

from gostream.v1.video_service_pb2 import LoudnessTarget as Target
from gostream_api.rpc.fields.loudness import is_loudness, loudness_of
from gostream_shared.domain.videos.loudness import LUFS, LoudnessTarget


def test_every_target_of_the_contract_is_known() -> None:
    for name, number in Target.items():
        target = loudness_of(number)
        assert is_loudness(number)
        assert name == f"LOUDNESS_TARGET_{target or 'UNSPECIFIED'}"
    assert not is_loudness(max(Target.values()) + 1)


def test_every_target_has_its_loudness() -> None:
    assert {target: int(lufs) for target, lufs in LUFS.items()} == {
        target: -int(target.removeprefix("LUFS_")) for target in LoudnessTarget
    }
