"""Opens the authenticator that the configuration asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from gostream_api.auth.algorithms import names
from gostream_api.auth.authenticator import (
    Authenticator,
    EitherAuthenticator,
    OpenDoor,
    TokenAuthenticator,
)
from gostream_api.auth.config import AuthConfig
from gostream_api.auth.issuers import Issuer, load_issuers
from gostream_api.auth.jwks import IssuerKeys
from gostream_api.auth.key_sources import FileSource, KeySource, UrlSource
from gostream_api.auth.key_store import KeyStore
from gostream_api.auth.mtls import CertificateAuthenticator, load_grants
from gostream_api.auth.tokens import TokenRules
from gostream_shared.concurrency import in_background

#: Seconds between two checks of a local file of keys.
_FILE_LOOK = 1.0


@asynccontextmanager
async def open_authenticator(config: AuthConfig) -> AsyncIterator[Authenticator]:
    """Yields the authenticator of AUTH_MODE; keys and grants are kept fresh until the block ends.

    Raises MisconfiguredError. An issuer that does not answer stops no start.
    """
    if config.auth_mode == "none":
        yield OpenDoor()
    elif config.auth_mode == "jwt":
        async with _open_tokens(config) as tokens:
            yield tokens
    elif config.auth_mode == "mtls":
        async with _open_certificates(config) as certificates:
            yield certificates
    else:
        async with _open_tokens(config) as tokens, _open_certificates(config) as certificates:
            yield EitherAuthenticator(tokens, certificates)


@asynccontextmanager
async def _open_certificates(config: AuthConfig) -> AsyncIterator[CertificateAuthenticator]:
    """Without a file of grants, no certificate has a scope."""
    if config.auth_mtls_grants_file is None:
        yield CertificateAuthenticator(())
        return
    path = Path(config.auth_mtls_grants_file)
    certificates = CertificateAuthenticator(await asyncio.to_thread(load_grants, path))
    async with in_background(certificates.follow(path)):
        yield certificates


@asynccontextmanager
async def _open_tokens(config: AuthConfig) -> AsyncIterator[TokenAuthenticator]:
    issuers = await asyncio.to_thread(load_issuers, Path(config.auth_jwt_issuers_file or ""))
    by_name = {issuer.issuer: issuer for issuer in issuers}
    authenticator = TokenAuthenticator(by_name, _rules(config), capacity=config.auth_token_cache)
    store = KeyStore(Path(config.auth_jwks_cache_file) if config.auth_jwks_cache_file else None)
    await store.load()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for issuer in issuers:
            keys = IssuerKeys(
                issuer.alias,
                _source(issuer, session),
                max_age=config.auth_jwks_max_age.total_seconds(),
                removed=authenticator.forget,
                store=store if issuer.jwks_url else None,
            )
            authenticator.keys[issuer.issuer] = keys
        async with asyncio.TaskGroup() as tasks:
            for keys in authenticator.keys.values():
                tasks.create_task(keys.open())
        period = config.auth_jwks_refresh.total_seconds()
        for issuer in issuers:
            keys = authenticator.keys[issuer.issuer]
            refreshing = keys.keep_fresh(period if issuer.jwks_url else _FILE_LOOK)
            await stack.enter_async_context(in_background(refreshing))
        yield authenticator


def _source(issuer: Issuer, session: aiohttp.ClientSession) -> KeySource:
    if issuer.jwks_url:
        return UrlSource(session, issuer.jwks_url)
    return FileSource(Path(issuer.jwks_file or ""))


def _rules(config: AuthConfig) -> TokenRules:
    claim, _, value = config.auth_jwt_service_claim.partition("=")
    return TokenRules(
        algorithms=names(config.auth_jwt_algorithms),
        leeway=config.auth_jwt_leeway.total_seconds(),
        max_lifetime=config.auth_jwt_max_lifetime.total_seconds(),
        service_claim=(claim, value) if claim else None,
    )
