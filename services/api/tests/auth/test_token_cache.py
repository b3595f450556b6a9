"""Verified tokens are remembered: within a bound, until they expire, and until a key disappears."""

from typing import Any

from gostream_api.auth.authenticator import TokenAuthenticator
from tests.trust.tokens import (
    ISSUER,
    PRIVATE,
    Clock,
    Source,
    all_keys,
    claims,
    key_set,
    public_jwk,
    signed,
)


async def test_verified_token_is_known_at_once(tokens: TokenAuthenticator) -> None:
    credential = f"Bearer {signed()}"
    assert tokens.now(credential) is None

    principal = await tokens.later(credential)

    assert tokens.now(credential) is principal


async def test_remembered_token_ends_at_its_expiry(tokens: TokenAuthenticator, clock: Clock) -> None:
    credential = f"Bearer {signed(exp=int(clock.now) + 60)}"
    await tokens.later(credential)

    clock.now += 59
    assert tokens.now(credential) is not None
    clock.now += 1
    assert tokens.now(credential) is None


async def test_remembered_token_is_verified_again(tokens: TokenAuthenticator, clock: Clock) -> None:
    credential = f"Bearer {signed(exp=claims()['exp'])}"
    await tokens.later(credential)

    clock.now += 301
    assert tokens.now(credential) is None
    assert await tokens.later(credential) is tokens.now(credential)


async def test_removed_key_ends_its_tokens(tokens: TokenAuthenticator, source: Source) -> None:
    credential = f"Bearer {signed('EdDSA')}"
    await tokens.later(credential)
    source.text = key_set(public_jwk("ES256", PRIVATE["ES256"]))

    await tokens.keys[ISSUER].refresh()

    assert tokens.now(credential) is None


async def test_unchanged_keys_keep_tokens(tokens: TokenAuthenticator, source: Source) -> None:
    credential = f"Bearer {signed('EdDSA')}"
    await tokens.later(credential)
    source.text = all_keys()

    await tokens.keys[ISSUER].refresh()

    assert tokens.now(credential) is not None


async def test_memory_of_tokens_is_bounded(make: Any) -> None:
    tokens = make(capacity=2)
    await tokens.keys[ISSUER].open()
    credentials = [f"Bearer {signed(sub=name)}" for name in ("a", "b", "c")]

    for credential in credentials:
        await tokens.later(credential)

    assert [tokens.now(credential) is not None for credential in credentials] == [False, True, True]
