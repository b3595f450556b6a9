"""The demonstration: one video from file to stream and through every cache, with explanations."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin
from uuid import uuid4

import aiohttp
from rich.console import Console
from rich.table import Table

from gostream.v1 import video_pb2
from gostream_cli.progress import processing_progress, upload_progress
from gostream_client import AsyncClient, GoStreamError, Reply, SourceFile, UploadEvents, status_name
from gostream_devstack.errors import StackError

EVICTION_DEADLINE = 5.0  # seconds; usually a few milliseconds
READY_DEADLINE = 1800.0
TAKEDOWN_DEADLINE = 30.0  # seconds; usually three


class DemoError(StackError):
    """A step of the demonstration had an unexpected result."""


class Demo:
    """The steps in order. Each prints its action, and raises DemoError if the result is unexpected.

    `alice` and `bob` are tokens of two callers; Alice owns the videos.
    """

    def __init__(self, env: Mapping[str, str], console: Console, *, alice: str, bob: str) -> None:
        self._env = env
        self._console = console
        self._alice = alice
        self._bob = bob
        self._steps = 0

    async def run(self, source: Path) -> None:
        addresses = self._env["GOSTREAM_API_ADDR"].split(",")
        door_of_second = self._env["GOSTREAM_READ_ADDR"].split(",")[-1]
        async with (
            AsyncClient(addresses[0], token=self._alice) as first,
            AsyncClient(addresses[-1], token=self._alice) as second,
            AsyncClient(door_of_second, token=self._alice) as door,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), raise_for_status=True) as http,
        ):
            video = await self._upload(first, source)
            video = await self._process(first, video, "Process: probe, plan the ladder, encode, publish")
            self._show_ladder(video)
            await self._read_through_the_caches(first, second, door, video.id)
            await self._refuse_others(http, door, video.id)
            await self._stream_through_the_edge(http, video.playback_url)
            await self._encode_again(first, second, http, video)
            await self._read_as_json(http, video.id)
            await self._protect(first, http, video)
            await self._failing_is_explained(first)
            self._console.print(f"\n[bold green]All {self._steps} steps succeeded.[/]")

    async def _upload(self, client: AsyncClient, path: Path) -> video_pb2.Video:
        source = SourceFile(path)
        self._step("Create a video, and upload its source straight to the object store")
        with upload_progress(self._console, source.size) as show:
            video = await client.upload(source, events=UploadEvents(on_sent=show))
        self._say(f"CreateVideo → {video.id} of {video.user_id}, {status_name(video)}, and a presigned PUT")
        self._say(f"{source.size / 1e6:.1f} MB sent to the object store")
        return video

    async def _process(self, client: AsyncClient, video: video_pb2.Video, title: str) -> video_pb2.Video:
        self._step(title)
        began = time.monotonic()
        video = await client.trigger_process(video.id)
        self._say(f"TriggerProcess → {status_name(video)}; row and job were committed together")
        async with asyncio.timeout(READY_DEADLINE):
            video = await self._follow(client, video)
        self._say(f"WatchVideo → {status_name(video)} after {time.monotonic() - began:.1f} s")
        _expect(video.status == video_pb2.Video.STATUS_READY, video.error.message)
        return video

    async def _follow(self, client: AsyncClient, video: video_pb2.Video) -> video_pb2.Video:
        with processing_progress(self._console) as show:
            async with aclosing(client.watch(video.id, min_version=video.version)) as states:
                async for video in states:
                    show(video)
        return video

    def _show_ladder(self, video: video_pb2.Video) -> None:
        seconds = video.duration.ToTimedelta().total_seconds()
        fps = video.source.fps
        self._say(f"{seconds:.2f} s of {'/'.join(video.source.codecs)} at {fps:g} fps; the ladder:")
        table = Table("rung", "size", "codecs", "average", "peak")
        for rung in video.renditions:
            size = f"{rung.width}×{rung.height}"
            table.add_row(
                rung.name, size, rung.codecs, _rate(rung.average_bandwidth), _rate(rung.peak_bandwidth)
            )
        self._console.print(table)

    async def _read_through_the_caches(
        self, first: AsyncClient, second: AsyncClient, door: AsyncClient, video_id: str
    ) -> None:
        self._step("Read it: database, then Redis on the other replica, then its memory at its read door")
        for client, expected in ((first, "MISS"), (second, "L2"), (door, "L1")):
            began = time.monotonic()
            reply = await client.get_video_reply(video_id)
            took = (time.monotonic() - began) * 1000
            self._say(f"GetVideo at {client.server} → x-cache: {reply.x_cache:<4} {took:6.1f} ms")
            _expect(reply.x_cache == expected, f"it should have been {expected}")

    async def _refuse_others(self, http: aiohttp.ClientSession, door: AsyncClient, video_id: str) -> None:
        self._step("Ask for it as somebody else: calls need a token, and videos of others do not exist")
        head, claims, signature = self._alice.split(".")
        altered = f"{head}.{claims[:-1]}{'A' if claims[-1] != 'A' else 'B'}.{signature}"
        for who, token in (("without a token", ""), ("with an altered token", altered)):
            refusal = await _refusal(door, token, video_id)
            self._say(f"GetVideo {who} → refused: {refusal.reason}")
            _expect(refusal.reason == "TOKEN_INVALID", "it should have been TOKEN_INVALID")
        url = self._json_url(video_id)
        async with http.get(url, raise_for_status=False) as answer:
            self._say(f"GET {url} without a token → {answer.status}, refused by Envoy")
        _expect(answer.status == HTTPStatus.UNAUTHORIZED, "it should have been 401")
        owner = await door.get_video(video_id)
        self._say(f"GetVideo as {owner.user_id}, the owner → {status_name(owner)}")
        others, absent = [await _refusal(door, self._bob, each) for each in (video_id, str(uuid4()))]
        is_alike = others.reason == absent.reason and len(others.message) == len(absent.message)
        self._say(f"GetVideo as dev:bob → {others.reason}, as for an id that never existed")
        _expect(others.reason == "VIDEO_NOT_FOUND" and is_alike, f"not as for an unknown id: {absent}")

    def _json_url(self, video_id: str) -> str:
        return f"{self._env['GOSTREAM_HTTP_URL']}/v1/videos/{video_id}"

    async def _stream_through_the_edge(self, http: aiohttp.ClientSession, master: str) -> None:
        self._step("Play it through the edge: the second viewer causes no request to the origin")
        playlist = urljoin(master, _last_uri(await self._fetch(http, master)))
        segment = urljoin(playlist, _last_uri(await self._fetch(http, playlist)))
        await self._fetch(http, segment)
        for url in (playlist, segment):
            await self._fetch(http, url, expected="HIT")

    async def _fetch(self, http: aiohttp.ClientSession, url: str, expected: str = "") -> bytes:
        async with http.get(url) as answer:
            body = await answer.read()
            cached = answer.headers["X-Cache-Status"]
        self._say(f"GET {url} → X-Cache-Status: {cached}, {len(body)} bytes")
        _expect(not expected or cached == expected, f"it should have been {expected}")
        return body

    async def _encode_again(
        self, first: AsyncClient, second: AsyncClient, http: aiohttp.ClientSession, video: video_pb2.Video
    ) -> None:
        before = await second.get_video_reply(video.id)
        title = f"Encode it again: {second.server} holds version {before.video.version} in its memory …"
        video = await self._process(first, video, title)
        async with asyncio.timeout(EVICTION_DEADLINE):
            after = await _at_version(second, video)
        self._say(
            f"… and {second.server} answers version {after.video.version} (x-cache: {after.x_cache}): "
            "its copies were evicted by the commits on the other replica"
        )
        _expect(after.video.playback_url == video.playback_url, "the playback URL should not change")
        master = (await self._fetch(http, video.playback_url)).decode()
        _expect("v2/" in master and "v1/" not in master, "the edge should serve the new encode at once")
        self._say(
            "the same playback URL already plays the new encode (v2/); the old one stays for its viewers"
        )

    async def _read_as_json(self, http: aiohttp.ClientSession, video_id: str) -> None:
        self._step("The same as JSON, through Envoy")
        url = self._json_url(video_id)
        async with http.get(url, headers={"authorization": f"Bearer {self._alice}"}) as answer:
            document = await answer.json()
        self._say(f"GET {url} → {answer.status} {document['status']}, version {document['version']}")
        _expect(document["id"] == video_id, "it should be the same video")

    async def _protect(
        self, client: AsyncClient, http: aiohttp.ClientSession, video: video_pb2.Video
    ) -> None:
        self._step(
            "Protect it: signed URLs, a revocation, and a takedown that reaches the edge's cached copies"
        )
        await client.update_video(video.id, policy="signed")
        self._say("UpdateVideo → signed; only URLs of GetPlaybackInfo play it now")
        await self._until_refused(http, video.playback_url, 404)
        signed = (await client.get_playback_info(video.id)).playback_url
        await self._fetch(http, signed)
        await client.revoke_playback(video.id)
        self._say("RevokePlayback → a new playback epoch")
        await self._until_refused(http, signed, 403)
        signed = (await client.get_playback_info(video.id)).playback_url
        await self._fetch(http, signed)
        await client.delete_video(video.id)
        self._say("DeleteVideo → the row is gone, and the gate that edges ask for")
        await self._until_refused(http, signed, 403)

    async def _until_refused(self, http: aiohttp.ClientSession, url: str, expected: int) -> None:
        """Asks for a cached playlist until the edge refuses it."""
        began = time.monotonic()
        async with asyncio.timeout(TAKEDOWN_DEADLINE):
            while True:
                async with http.get(url, raise_for_status=False) as answer:
                    if answer.status != 200:
                        break
                await asyncio.sleep(0.05)
        self._say(f"GET {url} → {answer.status} after {time.monotonic() - began:.1f} s")
        _expect(answer.status == expected, f"it should have been {expected}")

    async def _failing_is_explained(self, client: AsyncClient) -> None:
        self._step("A file that is not a video fails immediately, with a reason")
        uploaded = await client.upload(Path(__file__), title="not a video")
        async with asyncio.timeout(READY_DEADLINE):
            video = await self._follow(client, await client.trigger_process(uploaded.id))
        self._say(f"{status_name(video)} {video.error.code}: {video.error.message}")
        _expect(video.error.code == "SOURCE_NOT_MEDIA", "it should have been SOURCE_NOT_MEDIA")

    def _step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"\n[bold]{self._steps}. {title}[/]")

    def _say(self, text: str) -> None:
        self._console.print(f"   {text}", highlight=False, soft_wrap=True, markup=False)


def where_to_go_on(env: Mapping[str, str], console: Console) -> None:
    """Prints the next commands to try with `make up`."""
    address = env["GOSTREAM_API_ADDR"].split(",")[0]
    console.print("\nTo start it yourself: [bold]make up[/], and in another terminal")
    for line in (
        ".venv/bin/gostream upload FILE --watch",
        "grpcurl -plaintext -d '{\"page_size\":10}' localhost:50051 gostream.v1.VideoService/ListVideos",
        ".venv/bin/gostream-devstack up --auth, which requires tokens (docs/how-to/authenticate.md)",
        f"(this ran at gRPC {address}, JSON {env['GOSTREAM_HTTP_URL']}, edge {env['CDN_BASE_URL']})",
    ):
        console.print(f"   {line}", highlight=False, soft_wrap=True, markup=False)


def _expect(condition: bool, sentence: str) -> None:
    if not condition:
        raise DemoError(sentence or "unexpected result")


async def _refusal(client: AsyncClient, token: str, video_id: str) -> GoStreamError:
    """Returns the error of a call with another token. Raises DemoError if the call succeeds."""
    async with AsyncClient(client.server, token=token) as other:
        try:
            await other.get_video(video_id)
        except GoStreamError as error:
            return error
    raise DemoError(f"{client.server} answered a caller that should not see {video_id}")


async def _at_version(client: AsyncClient, video: video_pb2.Video) -> Reply:
    while (reply := await client.get_video_reply(video.id)).video.version < video.version:
        await asyncio.sleep(0.01)
    return reply


def _last_uri(playlist: bytes) -> str:
    return [line for line in playlist.decode().splitlines() if line and not line.startswith("#")][-1]


def _rate(bits_per_second: int) -> str:
    return f"{bits_per_second / 1e6:.2f} Mb/s"
