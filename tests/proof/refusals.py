"""The fault "reads pass, writes are refused": its class, scope and frequency."""

import random
from dataclasses import dataclass

from tests.support.script_model import Refusal

#: Classes of refusal; see `Refusal`.
CLASSES = tuple(Refusal)


@dataclass(frozen=True, slots=True)
class Refusing:
    """The writes that a server refuses to one user."""

    refusal: Refusal
    chance: float = 1.0  # below 1 the refusal flaps: it is drawn per command
    keys: bool = False  # an ACL that excludes `video:*`: heartbeats pass, commands on videos are refused
    channel: bool = False  # an ACL without the channel: scripts write, then fail at PUBLISH

    def strikes(self, luck: random.Random) -> bool:
        return luck.random() < self.chance


def choose(luck: random.Random) -> Refusing:
    """Draws a refusal."""
    chance = luck.choice((1.0, 1.0, 0.6))
    kind = luck.choice((*CLASSES, Refusal.NOPERM))
    if kind is Refusal.NOPERM:
        keys, channel = luck.choice(((False, False), (True, False), (True, False), (False, True)))
        return Refusing(kind, chance, keys=keys, channel=channel)
    return Refusing(kind, chance)
