"""Running one command: its consoles, its client, and how it ends."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import typer

from gostream_cli.errors import ExitCode, exit_code
from gostream_cli.output import Output
from gostream_client.client import Client, connect
from gostream_client.errors import ClientError, InvalidInputError, UnreachableError
from gostream_client.text import printable

DEBUG_VARIABLE = "GOSTREAM_DEBUG"


@contextmanager
def ending(out: Output) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence and an exit code.

    GOSTREAM_DEBUG=1 lets an unforeseen exception through with its traceback. Ctrl-C is an exception inside,
    and outside what it was before.
    """
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except ClientError as error:
        out.error(error)
        raise typer.Exit(exit_code(error)) from None
    except (KeyboardInterrupt, typer.Abort):
        out.note("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # Nobody reads on (`gostream ls | head`): no error, but the interpreter would still flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except UnicodeEncodeError as error:
        # Arguments that are not UTF-8 reach us as surrogates, and protobuf takes none.
        out.error(InvalidInputError(f"'{printable(str(error.object))}' is not UTF-8 text"))
        raise typer.Exit(ExitCode.USAGE) from None
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        out.error(ClientError(f"unforeseen {type(error).__name__}: {error}", reason="BUG"))
        raise typer.Exit(ExitCode.FAILED) from None
    finally:
        signal.signal(signal.SIGINT, outside)


def run(out: Output, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` to its end."""

    async def body() -> None:
        await work()

    with ending(out):
        asyncio.run(body())


def call(server: str, out: Output, timeout: float | None, work: Callable[[Client], Awaitable[None]]) -> None:
    """Run `work` with a client of `server`."""

    async def body() -> None:
        async with connect(server, timeout=timeout) as client:
            await work(client)

    run(out, body)


async def within(timeout: float | None, work: Awaitable[None]) -> None:
    """Await `work`, but no longer than `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await work
    except TimeoutError:
        raise UnreachableError(f"not finished within the {timeout:g} s of --timeout") from None
