"""Tokens: what is accepted, and every kind of forgery that is not."""

import random
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gostream_api.auth.authenticator import TokenAuthenticator
from gostream_api.auth.tokens import MAX_TOKEN
from gostream_api.principal import Kind
from gostream_shared.domain.errors import UnauthenticatedError
from tests.trust.tokens import AUDIENCE, ISSUER, PRIVATE, assembled, claims, signed


async def cause(tokens: TokenAuthenticator, token: str) -> str:
    """The reason for operators why the token is refused."""
    with pytest.raises(UnauthenticatedError) as refused:
        await tokens.later(f"Bearer {token}")
    assert str(refused.value) == "the call needs a valid token"  # as a client sees it
    assert tokens.now(f"Bearer {token}") is None
    return refused.value.cause


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_valid_token_names_its_principal(tokens: TokenAuthenticator, algorithm: str) -> None:
    expiry = int(time.time()) + 100
    token = signed(algorithm, exp=expiry)

    principal = await tokens.later(f"Bearer {token}")

    assert (principal.kind, principal.id, principal.owner) == (Kind.USER, "corp:alice", "corp:alice")
    assert principal.scopes == {"videos:read", "videos:write"}
    assert principal.expires_at == expiry
    assert await tokens.later(f"bearer {token}".encode()) == principal  # as the doors read headers


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({"scope": None}, set()),
        ({"scope": "videos:everything openid"}, set()),
        ({"scope": None, "scp": ["videos:read", 7]}, {"videos:read"}),
        ({"scope": None, "scp": "videos:read"}, {"videos:read"}),
        ({"scope": {"videos:read": True}}, set()),
    ],
)
async def test_only_known_scopes_are_granted(
    tokens: TokenAuthenticator, changes: dict[str, Any], scopes: set[str]
) -> None:
    assert (await tokens.later(f"Bearer {signed(**changes)}")).scopes == scopes


async def test_service_claim_makes_a_service(make: Any) -> None:
    tokens = make(service_claim=("gty", "client-credentials"))
    await tokens.keys[ISSUER].open()

    assert (await tokens.later(f"Bearer {signed(gty='client-credentials')}")).kind is Kind.SERVICE
    assert (await tokens.later(f"Bearer {signed(gty='password')}")).kind is Kind.USER


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": timedelta(seconds=-60)}, "ExpiredSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"exp": "soon"}, "DecodeError"),
        ({"exp": float("inf")}, "DecodeError"),
        ({"nbf": timedelta(seconds=600)}, "ImmatureSignatureError"),
        ({"iat": timedelta(seconds=600)}, "ImmatureSignatureError"),
        ({"iat": "x"}, "InvalidIssuedAtError"),
        ({"exp": timedelta(seconds=4000)}, "too long"),
        ({"exp": timedelta(seconds=4000), "iat": None}, "too long"),
        ({"exp": timedelta(seconds=60), "iat": timedelta(seconds=-4000)}, "too long"),
        ({"aud": "others"}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError"),
        ({"iss": "https://issuer.test/"}, "issuer is unknown"),
        ({"iss": None}, "issuer is unknown"),
        ({"iss": [ISSUER]}, "issuer is unknown"),
        ({"sub": None}, "MissingRequiredClaimError"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "a" * 130}, "subject"),
    ],
)
async def test_wrong_claims_are_refused(
    tokens: TokenAuthenticator, changes: dict[str, Any], why: str
) -> None:
    assert why in await cause(tokens, signed(**changes))


async def test_unsigned_token_is_refused(tokens: TokenAuthenticator) -> None:
    for name in ("none", "None", "NONE"):
        assert "algorithm" in await cause(tokens, assembled({"alg": name, "kid": "EdDSA"}, claims()))


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_public_key_is_no_shared_secret(tokens: TokenAuthenticator, algorithm: str) -> None:
    public = PRIVATE[algorithm].public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        hmac = jwt.get_algorithm_by_name("HS256")
        unsigned = assembled({"alg": "HS256", "kid": algorithm}, claims()).rpartition(".")[0]
        signature = hmac.sign(unsigned.encode(), secret)
        header = {"alg": "HS256", "kid": algorithm}
        assert "algorithm" in await cause(tokens, assembled(header, claims(), signature))


async def test_key_verifies_only_its_algorithm(tokens: TokenAuthenticator) -> None:
    token = signed("ES256", header={"kid": "RS256"})

    assert "key is unknown" in await cause(tokens, token)


async def test_issuer_is_bound_to_its_algorithms(make: Any) -> None:
    tokens = make(algorithms=["ES256"])
    await tokens.keys[ISSUER].open()

    assert "algorithm" in await cause(tokens, signed("EdDSA"))
    assert await tokens.later(f"Bearer {signed('ES256')}")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"crit": ["exp"]}, ""),  # PyJWT refuses it too
        ({"crit": []}, ""),
        ({"typ": "logout+jwt"}, "type"),
        ({"kid": "other"}, "key is unknown"),
        ({"kid": 7}, "malformed"),
        ({"jku": "https://evil.test/jwks.json", "kid": "evil"}, "key is unknown"),
    ],
)
async def test_wrong_headers_are_refused(
    tokens: TokenAuthenticator, header: dict[str, Any], why: str
) -> None:
    whole = {"alg": "EdDSA", "kid": "EdDSA", **header}
    unsigned = assembled(whole, claims()).rpartition(".")[0]
    signature = PRIVATE["EdDSA"].sign(unsigned.encode())

    assert why in await cause(tokens, assembled(whole, claims(), signature))


async def test_access_token_type_is_accepted(tokens: TokenAuthenticator) -> None:
    assert await tokens.later(f"Bearer {signed(header={'typ': 'at+JWT'})}")


@pytest.mark.parametrize(
    "credential",
    ["", "Bearer ", "Basic YTpi", "Bearer a.b", "Bearer a.b.c", "Bearer ...", b"Bearer \xff", None],
)
async def test_nonsense_is_refused(tokens: TokenAuthenticator, credential: str | bytes | None) -> None:
    with pytest.raises(UnauthenticatedError):
        await tokens.later(credential)


async def test_long_token_is_refused_unread(tokens: TokenAuthenticator) -> None:
    token = signed(padding="x" * 9000)

    assert len(token) > MAX_TOKEN
    assert "too long" in await cause(tokens, token)


async def test_deep_token_is_refused(tokens: TokenAuthenticator) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]

    assert await cause(tokens, assembled({"alg": "EdDSA", "kid": "EdDSA"}, {"iss": deep}))


@pytest.mark.parametrize("changed", [200, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_altered_tokens_are_never_accepted(tokens: TokenAuthenticator, changed: int) -> None:
    """One bit of each token differs; tokens of all algorithms take turns."""
    chance = random.Random(changed)
    good = [signed(algorithm).encode() for algorithm in PRIVATE]
    accepted = []
    for number in range(changed):
        token = bytearray(good[number % len(good)])
        bit = chance.randrange(8 * len(token))
        token[bit // 8] ^= 1 << bit % 8
        try:
            await tokens.later(b"Bearer " + token)
        except UnauthenticatedError:
            continue
        accepted.append(bytes(token))

    # The last character of base64 has unused bits: PyJWT must refuse or the bytes must differ.
    assert not accepted


async def test_foreign_audience_is_not_accepted_in_a_list(tokens: TokenAuthenticator) -> None:
    assert await tokens.later(f"Bearer {signed(aud=['others', AUDIENCE])}")
    assert await cause(tokens, signed(aud=["others"]))
