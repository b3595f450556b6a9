"""Keys of an issuer: fetched, rotated, kept while the issuer is down."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gostream_api.auth.authenticator import TokenAuthenticator
from gostream_api.auth.jwk_set import MAX_BYTES, KeySetError, parse_key_set
from gostream_api.auth.jwks import IssuerKeys
from gostream_api.auth.key_sources import FileSource, UrlSource
from gostream_api.auth.key_store import KeyStore
from gostream_shared.domain.errors import BackendUnavailableError, UnauthenticatedError
from tests.trust.tokens import (
    ISSUER,
    PRIVATE,
    Clock,
    Source,
    all_keys,
    key_set,
    public_jwk,
    signed,
)

NEW = Ed25519PrivateKey.generate()


def rotated() -> bytes:
    return key_set(public_jwk("EdDSA", PRIVATE["EdDSA"]), public_jwk("EdDSA", NEW, kid="new"))


def by_new_key() -> str:
    return f"Bearer {signed(key=NEW, header={'kid': 'new'})}"


async def test_new_key_is_fetched_once_it_signs(
    tokens: TokenAuthenticator, source: Source, clock: Clock
) -> None:
    source.text = rotated()
    clock.now += 31

    assert await tokens.later(by_new_key())
    assert await tokens.later(f"Bearer {signed()}")  # the old key is still there


async def test_unknown_keys_cause_one_fetch(tokens: TokenAuthenticator, source: Source, clock: Clock) -> None:
    before = source.fetches
    strangers = [f"Bearer {signed(header={'kid': f'k{number}'})}" for number in range(50)]

    async def ask() -> None:
        replies = await asyncio.gather(*map(tokens.later, strangers), return_exceptions=True)
        assert {type(reply) for reply in replies} == {UnauthenticatedError}

    await ask()
    await ask()
    assert source.fetches == before + 1
    clock.now += 31
    await ask()
    assert source.fetches == before + 2


async def test_removed_key_is_unknown(tokens: TokenAuthenticator, source: Source) -> None:
    source.text = key_set(public_jwk("ES256", PRIVATE["ES256"]))
    await tokens.keys[ISSUER].refresh()

    with pytest.raises(UnauthenticatedError) as refused:
        await tokens.later(f"Bearer {signed()}")

    assert refused.value.cause == "the key is unknown"


@pytest.mark.parametrize(
    "trouble", [OSError("down"), TimeoutError(), aiohttp.ClientError(), KeySetError("x")]
)
async def test_last_keys_serve_while_the_issuer_is_down(
    make: Any, source: Source, clock: Clock, trouble: Exception
) -> None:
    tokens = make(max_age=3600, max_lifetime=10**6)
    keys = tokens.keys[ISSUER]
    await keys.open()
    source.text = trouble

    clock.now += 3599
    await keys.refresh()
    assert await tokens.later(f"Bearer {signed(exp=int(clock.now) + 9000)}")

    clock.now += 2
    await keys.refresh()
    assert tokens.now(f"Bearer {signed()}") is None
    with pytest.raises(BackendUnavailableError):
        await tokens.later(f"Bearer {signed()}")


async def test_damaged_key_set_replaces_nothing(tokens: TokenAuthenticator, source: Source) -> None:
    for text in (
        b"",
        b"<html>",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":[7]}',
        b"[" * 100_000,
        b" " * (MAX_BYTES + 1),
    ):
        source.text = text
        await tokens.keys[ISSUER].refresh()

    assert await tokens.later(f"Bearer {signed()}")


async def test_stored_keys_serve_after_a_restart(
    make: Any, source: Source, clock: Clock, tmp_path: Path
) -> None:
    def started() -> IssuerKeys:
        return IssuerKeys("corp", source, max_age=60, removed=lambda: None, store=store, clock=clock)

    store = KeyStore(tmp_path / "keys.json")
    await started().open()
    source.text = OSError("down")
    store = KeyStore(tmp_path / "keys.json")
    await store.load()

    keys = started()
    await keys.open()
    assert keys.find("EdDSA", "EdDSA")

    clock.now += 61
    keys = started()
    await keys.open()
    assert keys.find("EdDSA", "EdDSA") is None


async def test_damaged_store_counts_as_empty(tmp_path: Path) -> None:
    for text in (b"", b"[]", b'{"corp": 7}', b'{"corp": {"fetched": "x", "keys": "y"}}', b"\xff"):
        (tmp_path / "keys.json").write_bytes(text)
        store = KeyStore(tmp_path / "keys.json")
        await store.load()
        assert store.find("corp") is None


def test_unusable_keys_are_ignored() -> None:
    good = public_jwk("EdDSA", PRIVATE["EdDSA"])
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is ignored
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}
    unusable: list[dict[str, Any]] = [
        secret,
        public_jwk("RS256", small, kid="small"),
        {**good, "kid": "encryption", "use": "enc"},
        {**good, "kid": "signing", "key_ops": ["sign"]},
        {**good, "kid": "hmac", "alg": "HS256"},
        {**good, "kid": "curve", "crv": "X25519"},
        {**good, "kid": 7},
        {"kty": "RSA", "kid": "empty"},
    ]

    keys = parse_key_set(key_set(good, *unusable))

    assert {kid for kid, _, _ in keys.fingerprints} == {"EdDSA"}


def test_private_members_are_never_read() -> None:
    jwk = jwt.get_algorithm_by_name("EdDSA").to_jwk(PRIVATE["EdDSA"], as_dict=True)

    key = parse_key_set(key_set({**jwk, "kid": "a"})).find("a", "EdDSA")

    assert key is not None
    assert not hasattr(key.key, "sign")


def test_token_without_key_id_takes_the_only_key() -> None:
    one = parse_key_set(key_set(public_jwk("EdDSA", PRIVATE["EdDSA"])))
    two = parse_key_set(rotated())

    assert one.find(None, "EdDSA") is not None
    assert one.find(None, "ES256") is None
    assert two.find(None, "EdDSA") is None


async def test_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(all_keys())
    source = FileSource(path)

    assert await source.fetch() == all_keys()
    assert await source.fetch() is None
    (tmp_path / "new").write_bytes(rotated())
    (tmp_path / "new").replace(path)
    assert await source.fetch() == rotated()


@dataclass
class Web:
    """An HTTP server of key sets."""

    url: str
    reply: web.Response


@pytest.fixture
async def website() -> AsyncIterator[Web]:
    site = Web("", web.Response())

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=site.reply.status, body=site.reply.body, headers=site.reply.headers)

    application = web.Application()
    application.router.add_get("/jwks", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield site
    await runner.cleanup()


async def test_keys_come_from_a_url(website: Web) -> None:
    website.reply = web.Response(body=all_keys())

    async with aiohttp.ClientSession() as session:
        assert await UrlSource(session, website.url).fetch() == all_keys()


@pytest.mark.parametrize(
    "reply",
    [
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        web.Response(body=b" " * (MAX_BYTES + 1)),
    ],
)
async def test_wrong_replies_are_errors(website: Web, reply: web.Response) -> None:
    website.reply = reply

    async with aiohttp.ClientSession() as session:
        with pytest.raises(KeySetError):
            await UrlSource(session, website.url).fetch()
