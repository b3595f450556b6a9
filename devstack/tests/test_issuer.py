"""The issuer of a stack: the API accepts its tokens, and only those of this start."""

from datetime import timedelta
from pathlib import Path

import pytest

from gostream_api.auth.config import AuthConfig
from gostream_api.auth.opening import open_authenticator
from gostream_devstack.errors import StackError
from gostream_devstack.host import issuer
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.issuer import TokenIssuer
from gostream_shared.config import load
from gostream_shared.domain.errors import UnauthenticatedError


async def test_api_accepts_tokens_of_this_start(tmp_path: Path) -> None:
    earlier = TokenIssuer.create(tmp_path)
    issuers = TokenIssuer.create(tmp_path).publish(Directories.at(tmp_path))
    environment = {
        "DATABASE_URL": "postgresql://a:b@127.0.0.1/x",
        "AUTH_MODE": "jwt",
        "AUTH_JWT_ISSUERS_FILE": str(issuers),
    }

    async with open_authenticator(load(AuthConfig, environment)) as authenticator:
        token = TokenIssuer.of(tmp_path).token("alice", "videos:read,videos:write", timedelta(minutes=5))
        principal = await authenticator.later(f"Bearer {token}")
        with pytest.raises(UnauthenticatedError):
            await authenticator.later(f"Bearer {earlier.token('alice', '', timedelta(minutes=5))}")

    assert (principal.id, principal.scopes) == ("dev:alice", frozenset({"videos:read", "videos:write"}))


def test_private_key_is_private(tmp_path: Path) -> None:
    TokenIssuer.create(tmp_path)

    [key] = tmp_path.glob("*.pem")
    assert key.stat().st_mode & 0o777 == 0o600


def test_stack_without_tokens_prints_none(tmp_path: Path) -> None:
    TokenIssuer.create(tmp_path)
    issuer.forget(tmp_path)

    with pytest.raises(StackError, match="--auth"):
        TokenIssuer.of(tmp_path)
