"""The liveness state machine alone, on a fake clock."""

from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from gostream_shared.cache.bus.liveness import Liveness, Loss
from gostream_shared.cache.bus.messages import Change, Heartbeat
from gostream_shared.cache.protocol import Beat

SERVER_AHEAD = 1000.0


@dataclass
class Scene:
    now: float = 100.0
    sequence: int = 0
    liveness: Liveness = field(init=False)

    def __post_init__(self) -> None:
        self.liveness = Liveness(lambda: self.now)

    def live(self) -> bool:
        return self.now < self.liveness.until

    def hear_beat(self, *, age: float = 0.0, nonce: str | None = None, server: str = "a") -> Loss | None:
        self.sequence += 1
        nonce = nonce or self.liveness.nonce
        return self.liveness.receive(Heartbeat(self.sequence, self.now + SERVER_AHEAD - age, nonce, server))

    def hear_change(self, *, age: float = 0.0, sequence: int | None = None) -> Loss | None:
        self.sequence = sequence or self.sequence + 1
        return self.liveness.receive(Change(self.sequence, self.now + SERVER_AHEAD - age, uuid4(), 1))

    def synchronise(self, server: str = "a") -> Loss | None:
        return self.liveness.synchronise(Beat(self.now + SERVER_AHEAD, server), sent=self.now)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.liveness.restart()
    scene.synchronise()
    scene.hear_beat()
    return scene


def test_only_the_own_nonce_proves_liveness(scene: Scene) -> None:
    assert scene.live()
    scene.liveness.restart()
    assert not scene.live()
    scene.hear_beat(nonce="somebody else's")
    scene.hear_change()
    assert not scene.live()
    scene.hear_beat()
    assert scene.live()


def test_proof_expires_with_a_reconnection(scene: Scene) -> None:
    old = scene.liveness.nonce
    scene.liveness.restart()
    scene.hear_beat(nonce=old)
    assert not scene.live()


@pytest.mark.parametrize("order", ["beat first", "answer first"])
def test_reply_and_heartbeat_arrive_in_any_order(order: str) -> None:
    scene = Scene()
    if order == "beat first":
        scene.hear_beat()
    scene.synchronise()
    if order == "answer first":
        scene.hear_beat()
    assert scene.live()


def test_silence_ends_liveness_without_an_event(scene: Scene) -> None:
    scene.now += 2.9
    assert scene.live()
    scene.now += 0.2
    assert not scene.live()


def test_late_messages_do_not_extend_liveness(scene: Scene) -> None:
    for _ in range(10):
        scene.now += 1
        scene.hear_change(age=3.5)
    assert not scene.live()


def test_any_message_extends_liveness(scene: Scene) -> None:
    for _ in range(10):
        scene.now += 1
        assert scene.hear_change() is None
    assert scene.live()


@pytest.mark.parametrize("jump", [-3, 2])
def test_sequence_jump_is_a_gap(scene: Scene, jump: int) -> None:
    scene.hear_change()
    assert scene.hear_change(sequence=scene.sequence + jump) is Loss.GAP
    assert scene.live()


def test_first_number_after_a_reconnection_is_no_gap(scene: Scene) -> None:
    scene.liveness.restart()
    assert scene.hear_change(sequence=77) is None


def test_commands_to_another_server_end_liveness(scene: Scene) -> None:
    assert scene.synchronise(server="b") is Loss.SERVER
    assert not scene.live()


def test_heartbeat_of_another_server_ends_liveness(scene: Scene) -> None:
    assert scene.hear_beat(server="b", nonce="x") is Loss.SERVER
    assert not scene.live()


def test_patience_is_bounded_before_and_after_the_proof(scene: Scene) -> None:
    assert scene.liveness.patience == scene.now + 3
    scene.liveness.restart()
    assert scene.liveness.patience == scene.now + 3
