"""Speaks TLS in front of a server whose wheel cannot: `python -m … LISTEN TO CERTIFICATE KEY [postgres]`.

PostgreSQL clients first ask for TLS in plaintext; one that does not ask is refused.
"""

import asyncio
import ssl
import sys
from contextlib import suppress

HOST = "127.0.0.1"
_CHUNK = 1 << 16
_TIMEOUT = 10.0
#: PostgreSQL's SSLRequest: its length and its code.
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


class Front:
    """Forwards decrypted connections to a port. Each connection reads the certificate's files."""

    def __init__(self, to: int, certificate: str, key: str, *, postgres: bool) -> None:
        self._to = to
        self._files = (certificate, key)
        self._postgres = postgres

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = None
        try:
            async with asyncio.timeout(_TIMEOUT):
                if self._postgres and await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                    return
                if self._postgres:
                    writer.write(b"S")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self._files)
                await writer.start_tls(context)
                from_server, server = await asyncio.open_connection(HOST, self._to)
            forwards = (
                asyncio.create_task(_copy(*pair)) for pair in ((reader, server), (from_server, writer))
            )
            _, running = await asyncio.wait([*forwards], return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client finds out
        finally:
            for each in (writer, server):
                if each is not None:
                    each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def main(listen: str, to: str, certificate: str, key: str, *kind: str) -> None:
    front = Front(int(to), certificate, key, postgres=kind == ("postgres",))
    server = await asyncio.start_server(front.connected, HOST, int(listen))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
