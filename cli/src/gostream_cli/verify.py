"""The verify command: runs the conformance library on a directory or a web server, and prints the report."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from rich.text import Text
from yarl import URL

from gostream_cli.output import Output
from gostream_cli.verify_decode import decode
from gostream_client import GoStreamError, InvalidInputError, UnreachableError
from gostream_client.text import printable
from gostream_conformance.errors import UnreadableError
from gostream_conformance.report import Outcome, Report, judge
from gostream_conformance.rules import ALL
from gostream_conformance.rules.rule import Severity
from gostream_conformance.tree.loader import Limits, load
from gostream_conformance.tree.sources import DirectorySource, HttpSource, Resource, Source, joined

MASTER = "master.m3u8"
_CHUNK = 1 << 16


class NotConformantError(GoStreamError):
    """A MUST rule is broken."""


async def verify(out: Output, tree: str, *, decode_it: bool) -> None:
    """Check the tree and print the report.

    Raises NotConformantError, and UnreachableError if the master playlist cannot be read.
    """
    async with _source(tree) as source:
        try:
            presentation = await load(source, Limits())
        except UnreadableError as error:
            raise UnreachableError(f"the master playlist cannot be read: {error}") from None
        report = await asyncio.to_thread(judge, presentation, ALL)
        if decode_it:
            report = Report((*report.outcomes, *await decode(presentation, report, source)))
    if out.as_json:
        out.plain(json.dumps(report.document()))
    else:
        _show(out, report)
    musts = report.broken(Severity.MUST)
    if musts:
        plural = "rule is" if len(musts) == 1 else "rules are"
        raise NotConformantError(f"{len(musts)} must {plural} broken", reason="NOT_CONFORMANT")


def _show(out: Output, report: Report) -> None:
    for severity, style in ((Severity.MUST, "red"), (Severity.SHOULD, "yellow")):
        for outcome in report.broken(severity):
            _show_outcome(out, outcome, style)
    musts, shoulds = report.broken(Severity.MUST), report.broken(Severity.SHOULD)
    summary = f"{len(report.outcomes)} rules: {len(musts)} musts and {len(shoulds)} shoulds broken"
    out.stdout.print(Text(summary, style="red" if musts else "green"))


def _show_outcome(out: Output, outcome: Outcome, style: str) -> None:
    rule = outcome.rule
    head = Text.assemble((f"{rule.severity.value.upper():6} ", style), (rule.id, "bold"))
    out.stdout.print(head + Text(f"  {rule.says} [{rule.source}]", style="dim"))
    for finding in outcome.findings:
        out.stdout.print(Text(f"       {printable(finding.where)}: {printable(finding.why)}"))
    if outcome.more:
        out.stdout.print(Text(f"       and {outcome.more} more", style="dim"))


@asynccontextmanager
async def _source(tree: str) -> AsyncIterator[Source]:
    """Raises InvalidInputError if `tree` is neither an HTTP URL, nor a directory, nor a playlist."""
    scheme, mark, rest = tree.partition("://")
    if not mark:
        yield _directory(Path(tree))
    elif scheme.lower() in {"http", "https"}:
        name = rest if rest.partition("?")[0].endswith(".m3u8") else rest.rstrip("/") + f"/{MASTER}"
        timeout = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield HttpSource(f"{scheme.lower()}://{name}", _Fetch(session))
    else:
        raise InvalidInputError(
            f"{printable(scheme)}:// is not supported, only http://, https:// and directories"
        )


def _directory(path: Path) -> DirectorySource:
    if path.suffix == ".m3u8":
        return DirectorySource(path.parent, master=path.name)
    if path.is_file():
        raise InvalidInputError(f"{printable(str(path))} is neither a directory nor a playlist (.m3u8)")
    return DirectorySource(path, master=MASTER)


class _Fetch:
    """Bounded GET requests that do not follow redirects."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, url: str, headers: Mapping[str, str], limit: int) -> Resource:
        try:
            async with self._session.get(
                URL(url, encoded=True), headers=headers, allow_redirects=False
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > limit:
                        raise UnreadableError(f"{url} is larger than {limit} bytes")
                return Resource(bytes(body), answer.status, joined(answer.headers.items()))
        except TimeoutError:
            raise UnreadableError(f"{url} does not answer in time") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise UnreadableError(f"{url} cannot be fetched: {_in_words(error)}") from None


def _in_words(error: aiohttp.ClientError | ValueError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "no host has this name"
        case aiohttp.ClientSSLError():
            return "no trusted TLS connection"
        case aiohttp.ClientConnectorError():
            return "no server answers"
        case aiohttp.InvalidURL():
            return "invalid URL"
        case _:
            return "malformed or truncated HTTP response"
