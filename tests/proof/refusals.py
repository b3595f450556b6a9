"""The fault "reads pass, writes are refused": for whom, how often, of which class."""

import random
from dataclasses import dataclass

from tests.support.script_model import Refusal

#: Every write of this class is refused, by what it needs: see `Refusal`.
CLASSES = tuple(Refusal)


@dataclass(frozen=True, slots=True)
class Refusing:
    """What a server refuses one user."""

    refusal: Refusal
    chance: float = 1.0  # below 1 the refusal flaps: each command has its own luck
    keys: bool = False  # an ACL that excludes `video:*`: heartbeats pass, all else of a video is refused
    channel: bool = False  # an ACL without the channel: scripts write, then fail at PUBLISH

    def strikes(self, luck: random.Random) -> bool:
        return luck.random() < self.chance


def choose(luck: random.Random) -> Refusing:
    """One of the kinds that occur."""
    chance = luck.choice((1.0, 1.0, 0.6))
    kind = luck.choice((*CLASSES, Refusal.NOPERM))
    if kind is Refusal.NOPERM:
        keys, channel = luck.choice(((False, False), (True, False), (True, False), (False, True)))
        return Refusing(kind, chance, keys=keys, channel=channel)
    return Refusing(kind, chance)
