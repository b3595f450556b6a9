"""The token of a client: given, read from a file, or asked of a function."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from gostream_client.connection.blocking import run_blocking
from gostream_client.errors import DeadlineExceededError, InvalidInputError

Token: TypeAlias = str | Path | Callable[[], str | Awaitable[str]]

#: The characters of a bearer token (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")
_LATE = "the token was not available in time"


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a call with the token; an empty token needs none."""
    return (("authorization", f"Bearer {token}"),) if token else ()


class _Tokens:
    """The current token. A function is called for the first one, and again after the server rejected it."""

    def __init__(self, token: Token | None) -> None:
        self._is_file = isinstance(token, Path)
        self._text = token if isinstance(token, str) else ""
        self._made: Callable[[], str | Awaitable[str]] | None = None
        if isinstance(token, Path):
            self._made = _FileToken(token)
        elif token is not None and not isinstance(token, str):
            self._made = token
        else:
            _checked(self._text)

    def _is_current(self, rejected: str) -> bool:
        return self._made is None or (bool(self._text) and self._text != rejected and not self._is_file)


class AsyncTokens(_Tokens):
    """The tokens of an asyncio client."""

    def __init__(self, token: Token | None) -> None:
        super().__init__(token)
        self._lock = asyncio.Lock()

    async def text(self, seconds: float, *, rejected: str = "") -> str:
        """Returns the token of the next call, empty for none; another one than `rejected` if there is one.

        A function that is not asynchronous runs in a thread. Raises DeadlineExceededError after `seconds`,
        InvalidInputError if the text is no token or the file cannot be read, and what the function raises.
        """
        if self._is_current(rejected):
            return self._text
        try:
            async with asyncio.timeout(seconds), self._lock:
                if not self._is_current(rejected):
                    self._text = _checked(await self._new())
                return self._text
        except TimeoutError:
            raise DeadlineExceededError(_LATE) from None

    async def _new(self) -> str:
        assert self._made is not None  # noqa: S101 - told by _is_current
        made = await asyncio.to_thread(self._made)
        return await made if isawaitable(made) else made


class BlockingTokens(_Tokens):
    """The tokens of a blocking client."""

    def __init__(self, token: Token | None) -> None:
        super().__init__(token)
        self._lock = Lock()

    def text(self, seconds: float, *, rejected: str = "") -> str:
        """As AsyncTokens.text. A function that blocks is not interrupted after `seconds`."""
        if self._is_current(rejected):
            return self._text
        if not self._lock.acquire(timeout=max(0.0, seconds)):
            raise DeadlineExceededError(_LATE)
        try:
            if not self._is_current(rejected):
                self._text = _checked(self._new(seconds))
            return self._text
        finally:
            self._lock.release()

    def _new(self, seconds: float) -> str:
        assert self._made is not None  # noqa: S101 - told by _is_current
        made = self._made()
        if not isawaitable(made):
            return made

        async def awaited() -> str:
            async with asyncio.timeout(seconds):
                return await made

        try:
            return run_blocking(awaited)
        except TimeoutError:
            raise DeadlineExceededError(_LATE) from None


class _FileToken:
    """Reads a file, and again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0, 0)
        self._text = ""

    def __call__(self) -> str:
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version != self._seen:
                self._text = self._path.read_text(encoding="ascii", errors="replace").strip()
                self._seen = version
        except OSError as error:
            raise InvalidInputError(f"the token file {self._path} cannot be read: {error.strerror}") from None
        return self._text


def _checked(text: str) -> str:
    if text and not _TOKEN.fullmatch(text):
        raise InvalidInputError("the token has characters that no token has")
    return text
