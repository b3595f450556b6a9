"""The token of a client: given, or read from a file that is read again when it changes."""

import asyncio
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from gostream_client.errors import InvalidInputError
from gostream_client.target import lookup, split_servers

#: The characters of a bearer token (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")


@dataclass(slots=True)
class TokenSource:
    """A token, or a file with one. Without either, calls carry no token."""

    text: str = ""
    file: Path | None = None
    #: Send the token without TLS to servers other than loopback.
    allow_plaintext: bool = False
    _seen: tuple[int, int, int] = field(default=(0, 0, 0), init=False)

    @property
    def is_empty(self) -> bool:
        return not self.text and self.file is None

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of a call. Raises InvalidInputError if the file cannot be read."""
        if self.file is not None:
            self.text = await asyncio.to_thread(self._read, self.file)
        if not self.text:
            return ()
        if not _TOKEN.fullmatch(self.text):
            raise InvalidInputError("the token has characters that no token has")
        return (("authorization", f"Bearer {self.text}"),)

    async def check_target(self, server: str, *, proxy: str) -> None:
        """Raise InvalidInputError if the token would cross a network in plaintext against the user's will."""
        if self.is_empty or self.allow_plaintext:
            return
        addresses = [address for pair in split_servers(server) for _, address in await lookup(*pair)]
        if proxy or not all(ip_address(address.partition("%")[0]).is_loopback for address in addresses):
            raise InvalidInputError(
                f"the token would reach {server} in plaintext; --allow-plaintext-token sends it nevertheless"
            )

    def _read(self, path: Path) -> str:
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version != self._seen:
                text = path.read_text(encoding="ascii", errors="replace").strip()
                self._seen = version
                return text
        except OSError as error:
            raise InvalidInputError(f"the token file {path} cannot be read: {error.strerror}") from None
        return self.text
