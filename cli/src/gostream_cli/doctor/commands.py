"""What the doctor command does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import typer
from rich.text import Text

from gostream.v1.admin_service_pb2 import Explanation
from gostream.v1.video_service_pb2 import CreateVideoResponse
from gostream_cli.doctor import asking, findings
from gostream_cli.doctor.findings import Finding
from gostream_cli.output import Output
from gostream_cli.runner import ALLOW_PLAINTEXT_TOKEN, TLS, TOKEN
from gostream_client import AsyncClient, GoStreamError, UnreachableError, VideoNotFoundError
from gostream_client.text import printable

_BODY = b"gostream doctor: this video is deleted at once\n"
_TITLE = "gostream doctor"
_MARKS = {True: ("ok", "green"), False: ("BAD", "bold red"), None: ("-", "dim")}
_STATES = {Explanation.STATE_GOOD: "green", Explanation.STATE_WAITING: "yellow"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a deployment are. Empty ones are not checked."""

    server: str
    reads: str = ""
    edge: str = ""
    origin: str = ""


async def explain(client: AsyncClient, out: Output, video_id: str, *, admin: str) -> None:
    """Print why a video is in its state. Exits with 1 if it needs help."""
    try:
        explanation = await client.explain_video(video_id)
    except UnreachableError as error:
        message = f"{admin}: {error.message}; set --admin or GOSTREAM_ADMIN_ADDR to ADMIN_PORT of the API, "
        raise UnreachableError(message + "which is off by default", reason="ADMIN_UNREACHABLE") from None
    if out.as_json:
        out.document(explanation)
    else:
        show_explanation(out, explanation)
    if explanation.state == Explanation.STATE_BAD:
        raise typer.Exit(1)


def show_explanation(out: Output, explanation: Explanation) -> None:
    style = _STATES.get(explanation.state, "bold red")
    out.stdout.print(Text.assemble(f"{explanation.video_id} ", (printable(explanation.verdict), style)))
    if explanation.advice:
        out.stdout.print(Text(f"  {explanation.cause}: {printable(explanation.advice)}"))
    for fact in explanation.facts:
        first, *more = fact.value.splitlines() or [""]
        mark, style = ("!", "bold red") if fact.is_bad else (" ", "dim")
        out.stdout.print(Text.assemble((f"{mark} {fact.name}: ", style), printable(first)))
        for line in more:
            out.stdout.print(Text(f"    {printable(line)}"))


async def examine(out: Output, places: Places, *, timeout: float | None) -> None:
    """Check a deployment from this machine and print the findings. Exits with 1 if one is bad."""
    async with _client(places.server, timeout) as client, asking.session_of(TLS.get()) as session:
        found = await _Examination(client, session, places, timeout).run()
    show(out, found)
    if any(each.is_good is False for each in found):
        raise typer.Exit(1)


def show(out: Output, found: list[Finding]) -> None:
    bad = [each for each in found if each.is_good is False]
    names = ", ".join(each.variable or each.name for each in bad)
    verdict = (
        f"{len(bad)} of {len(found)} checks failed: {names}" if bad else f"all {len(found)} checks passed"
    )
    if out.as_json:
        out.plain(json.dumps({"ok": not bad, "verdict": verdict, "checks": [asdict(each) for each in found]}))
        return
    out.stdout.print(Text(verdict, style="bold red" if bad else "green"))
    for each in found:
        mark, style = _MARKS[each.is_good]
        out.stdout.print(Text.assemble((f"{mark:4}", style), f"{each.name}: {printable(each.text)}"))
        if each.advice:
            variable = f"{each.variable}: " if each.variable else ""
            out.stdout.print(Text(f"      {variable}{each.advice}"))


@dataclass(slots=True)
class _Examination:
    """The checks of one deployment, in the order in which clients need its parts."""

    client: AsyncClient
    session: aiohttp.ClientSession
    places: Places
    timeout: float | None
    found: list[Finding] = field(default_factory=list)

    async def run(self) -> list[Finding]:
        """Returns the findings."""
        server, token = self.places.server, _token()
        status = await asking.health(server, TLS.get(), "")
        advice = "check the address, TLS and the log of the API"
        self.found.append(findings.health("health", status, variable="GOSTREAM_API_ADDR", advice=advice))
        error = await _error(self.client.list_videos_page(page_size=1))
        self.found.append(findings.api(error, server, token=token, now=time.time()))
        if error is None:
            bus = await asking.health(server, TLS.get(), "gostream.cache.Bus")
            advice = "the API does not reach Redis: reads are right but slower"
            self.found.append(findings.health("bus", bus, variable="REDIS_HOST", advice=advice))
            await self._use_a_video()
            await self._play()
        if self.places.edge:
            await self._ask_json_edge(token)
        return self.found

    async def _use_a_video(self) -> None:
        """Check with a video that is deleted for good at the end."""
        try:
            created = await self.client.create_video(
                title=_TITLE, size_bytes=len(_BODY), content_type="video/mp4"
            )
        except GoStreamError as error:
            advice = "the checks of uploads need videos:write"
            self.found.append(findings.call("create", error, "GOSTREAM_TOKEN", advice))
            return
        try:
            made = created.video.create_time.ToDatetime(UTC)
            self.found.append(findings.clock("the database", (datetime.now(UTC) - made).total_seconds()))
            await self._upload(created)
            await self._read(created.video.id)
        finally:
            await self._remove(created.video.id)

    async def _upload(self, created: CreateVideoResponse) -> None:
        asked = created.upload
        put = await asking.look(
            self.session, asked.method, asked.url, headers=dict(asked.headers), data=_BODY
        )
        self.found.append(findings.upload(put))
        if not put.trouble:
            self.found.append(findings.clock("the object store", put.offset))
        if put.status in (200, 201, 204):
            bare = asked.url.partition("?")[0]
            self.found.append(findings.privacy(await asking.look(self.session, "GET", bare)))

    async def _read(self, video_id: str) -> None:
        if self.places.reads:
            async with _client(self.places.reads, self.timeout) as reader:
                error = await _error(reader.get_video(video_id))
            advice = "check READ_PORT of the API and the address"
            self.found.append(findings.call("read door", error, "GOSTREAM_READ_ADDR", advice))

    async def _remove(self, video_id: str) -> None:
        error = await _error(asyncio.shield(self.client.delete_video(video_id, permanent=True)))
        if error is not None and not isinstance(error, VideoNotFoundError):
            text = f"video {video_id} is left: {error.message}"
            self.found.append(Finding("clean-up", False, text, "", f"gostream rm --permanent {video_id}"))

    async def _play(self) -> None:
        """Check the edge with the newest video that everybody may play."""
        try:
            page = await self.client.list_videos_page(status="ready", page_size=50)
        except GoStreamError as error:
            self.found.append(Finding("playback", None, f"not checked: {error.message}"))
            return
        url = next((video.playback_url for video in page.videos if video.playback_url), "")
        if url:
            self.found.append(findings.playback(await asking.look(self.session, "GET", url)))
        else:
            text = "not checked: no READY video that everybody may play"
            self.found.append(Finding("playback", None, text))

    async def _ask_json_edge(self, token: str) -> None:
        url, origin = f"{self.places.edge.rstrip('/')}/v1/videos?page_size=1", self.places.origin
        sent = token if _is_safe(url) or ALLOW_PLAINTEXT_TOKEN.get() else ""
        headers = {"authorization": f"Bearer {sent}"} if sent else {}
        seen = await asking.look(self.session, "GET", url, headers=headers)
        self.found.append(findings.json_edge(seen, has_token=bool(sent)))
        if not seen.trouble:
            self.found.append(findings.clock("the JSON edge", seen.offset))
        if origin:
            asked = {"origin": origin, "access-control-request-method": "POST"}
            answer = await asking.look(self.session, "OPTIONS", url, headers=asked)
            self.found.append(findings.preflight(answer, origin))


def _is_safe(url: str) -> bool:
    """Returns whether a token may be sent there: by TLS, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


@asynccontextmanager
async def _client(server: str, timeout: float | None) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        server,
        timeout=timeout or asking.TIMEOUT,
        token=TOKEN.get(),
        tls=TLS.get(),
        allow_plaintext_token=ALLOW_PLAINTEXT_TOKEN.get(),
    ) as client:
        yield client


async def _error(call: Awaitable[object]) -> GoStreamError | None:
    try:
        await call
    except GoStreamError as error:
        return error
    return None


def _token() -> str:
    given = TOKEN.get()
    try:
        return given.read_text().strip() if isinstance(given, Path) else given or ""
    except OSError:
        return ""  # the client tells
