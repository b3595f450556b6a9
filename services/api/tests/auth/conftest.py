"""An authenticator over a scripted source of keys."""

from collections.abc import Callable
from typing import Any

import pytest

from gostream_api.auth.authenticator import TokenAuthenticator
from gostream_api.auth.issuers import Issuer
from gostream_api.auth.jwks import IssuerKeys
from gostream_api.auth.tokens import TokenRules
from tests.trust.tokens import AUDIENCE, ISSUER, PRIVATE, Clock, Source, all_keys

Make = Callable[..., TokenAuthenticator]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Source:
    return Source(all_keys())


@pytest.fixture
def make(clock: Clock, source: Source) -> Make:
    """A function that makes an authenticator; the keys are not fetched yet."""

    def authenticator(
        algorithms: list[str] | None = None, capacity: int = 100, max_age: float = 3600, **rules: Any
    ) -> TokenAuthenticator:
        issuer = Issuer(
            alias="corp", issuer=ISSUER, audiences=[AUDIENCE], jwks_file="x", algorithms=algorithms
        )
        usual = {"algorithms": frozenset(PRIVATE), "leeway": 0.0, "max_lifetime": 3600.0}
        made = TokenAuthenticator(
            {ISSUER: issuer}, TokenRules(**{**usual, **rules}), capacity=capacity, clock=clock
        )
        made.keys[ISSUER] = IssuerKeys("corp", source, max_age=max_age, removed=made.forget, clock=clock)
        return made

    return authenticator


@pytest.fixture
async def tokens(make: Make) -> TokenAuthenticator:
    """An authenticator that has the keys."""
    made = make()
    await made.keys[ISSUER].open()
    return made
