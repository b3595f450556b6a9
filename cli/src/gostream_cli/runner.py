"""Runs one command with its client, and maps its end to an exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import typer

from gostream_cli.errors import ExitCode, exit_code
from gostream_cli.output import Output
from gostream_client import AsyncClient, GoStreamError, InvalidInputError, Tls, UnreachableError
from gostream_client.text import printable

DEBUG_VARIABLE = "GOSTREAM_DEBUG"
#: The token of the top-level options, or its file.
TOKEN: ContextVar[str | Path | None] = ContextVar("token", default=None)
ALLOW_PLAINTEXT_TOKEN: ContextVar[bool] = ContextVar("allow_plaintext_token", default=False)
#: The TLS of the top-level options; None: plaintext.
TLS: ContextVar[Tls | None] = ContextVar("tls", default=None)


@contextmanager
def ending(out: Output) -> Iterator[None]:
    """Turn exceptions of the block into one message and an exit code.

    GOSTREAM_DEBUG=1 raises an unexpected exception with its traceback. Within the block, Ctrl-C raises
    KeyboardInterrupt; afterwards the previous handler is restored.
    """
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except GoStreamError as error:
        out.error(error)
        raise typer.Exit(exit_code(error)) from None
    except (KeyboardInterrupt, typer.Abort):
        out.note("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader has left (`gostream ls | head`): not an error, but the interpreter would flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except UnicodeEncodeError as error:
        # Arguments that are not UTF-8 arrive as surrogates, which protobuf rejects.
        out.error(InvalidInputError(f"'{printable(str(error.object))}' is not UTF-8 text"))
        raise typer.Exit(ExitCode.USAGE) from None
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        out.error(GoStreamError(f"unexpected {type(error).__name__}: {error}", reason="BUG"))
        raise typer.Exit(ExitCode.FAILED) from None
    finally:
        signal.signal(signal.SIGINT, outside)


def run(out: Output, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work`."""

    async def body() -> None:
        await work()

    with ending(out):
        asyncio.run(body())


def call(
    server: str, out: Output, timeout: float | None, work: Callable[[AsyncClient], Awaitable[None]]
) -> None:
    """Run `work` with a client of `server`, and with the token and the TLS of the top-level options."""

    async def body() -> None:
        async with AsyncClient(
            server,
            timeout=timeout,
            token=TOKEN.get(),
            tls=TLS.get(),
            allow_plaintext_token=ALLOW_PLAINTEXT_TOKEN.get(),
        ) as client:
            await work(client)

    run(out, body)


async def within(timeout: float | None, work: Awaitable[None]) -> None:
    """Await `work`, at most `timeout` seconds. Raises UnreachableError after that."""
    try:
        async with asyncio.timeout(timeout):
            await work
    except TimeoutError:
        raise UnreachableError(f"not finished within the {timeout:g} s of --timeout") from None
