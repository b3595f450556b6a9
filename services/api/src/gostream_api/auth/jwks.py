"""The current keys of one issuer: refreshed next to the calls, kept while the issuer does not answer."""

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp
import structlog
from prometheus_client import Counter

from gostream_api.auth.jwk_set import KeySet, KeySetError, VerifyingKey, parse_key_set
from gostream_api.auth.key_sources import KeySource
from gostream_api.auth.key_store import KeyStore
from gostream_shared.domain.errors import BackendUnavailableError

_FETCHES = Counter("gostream_jwks_fetches_total", "Fetches of an issuer's keys", ["issuer", "result"])

_log = structlog.stdlib.get_logger("gostream.auth")


class IssuerKeys:
    """The keys of one issuer. `removed` is called when a key disappears."""

    def __init__(
        self,
        alias: str,
        source: KeySource,
        *,
        max_age: float,
        removed: Callable[[], None],
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._alias = alias
        self._source = source
        self._max_age = max_age
        self._removed = removed
        self._store = store or KeyStore(None)
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._asked = -float("inf")
        self._turn = asyncio.Lock()

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Returns the key, or None if it is unknown."""
        return self._keys.find(kid, algorithm) if self._keys is not None else None

    async def find_again(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Like `find`, after a fetch. Strangers cannot cause more than one fetch per pause of the source.

        Raises BackendUnavailableError if there are no keys at all.
        """
        async with self._turn:  # callers that wait here share the fetch
            key = self.find(kid, algorithm)
            if key is None and self._clock() >= self._asked + self._source.pause:
                self._asked = self._clock()
                await self.refresh()
        if self._keys is None:
            raise BackendUnavailableError("issuer of tokens", f"no keys of {self._alias}")
        return self.find(kid, algorithm)

    async def open(self) -> None:
        """Use the stored keys if they are young enough, then fetch."""
        stored = self._store.find(self._alias)
        if stored is not None and self._clock() - stored[0] <= self._max_age:
            try:
                self._keys, self._fetched = parse_key_set(stored[1]), stored[0]
            except KeySetError as error:
                _log.warning("stored keys are unusable", issuer=self._alias, reason=str(error))
        await self.refresh()

    async def keep_fresh(self, period: float) -> None:
        """Fetch every `period` seconds, without end. Replicas spread their fetches."""
        while True:
            await asyncio.sleep(period * random.uniform(0.9, 1.0))  # noqa: S311 - spreads load
            await self.refresh()

    async def refresh(self) -> None:
        """Fetch once. Without an answer, the last keys stay until they are too old."""
        try:
            text = await self._source.fetch()
            if text is not None:
                self._replace(parse_key_set(text))
        except (OSError, TimeoutError, aiohttp.ClientError, KeySetError) as error:
            _FETCHES.labels(self._alias, "failed").inc()
            reason = str(error) or type(error).__name__
            _log.warning("the keys of an issuer were not fetched", issuer=self._alias, reason=reason)
            self._forget_if_old()
            return
        _FETCHES.labels(self._alias, "ok").inc()
        self._fetched = self._clock()
        if text is not None:
            await self._keep(text)

    def _replace(self, keys: KeySet) -> None:
        gone = self._keys is not None and self._keys.fingerprints - keys.fingerprints
        self._keys = keys
        if gone:
            _log.info("a key was removed", issuer=self._alias)
            self._removed()

    def _forget_if_old(self) -> None:
        if self._keys is not None and self._clock() - self._fetched > self._max_age:
            _log.error("the keys of an issuer are too old", issuer=self._alias)
            self._keys = None
            self._removed()

    async def _keep(self, text: bytes) -> None:
        try:
            await self._store.keep(self._alias, self._fetched, text)
        except OSError as error:
            _log.warning("the keys of an issuer were not stored", issuer=self._alias, reason=str(error))
