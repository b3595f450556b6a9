"""The demonstration: one video from file to stream and through every cache, with explanations."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
from rich.console import Console
from rich.table import Table

from gostream.v1 import video_pb2
from gostream_cli.progress import processing_progress, upload_progress
from gostream_client import AsyncClient, Reply, SourceFile, UploadEvents, status_name
from gostream_devstack.errors import StackError

EVICTION_DEADLINE = 5.0  # seconds; usually a few milliseconds
READY_DEADLINE = 1800.0
TAKEDOWN_DEADLINE = 30.0  # seconds; usually three


class DemoError(StackError):
    """A step of the demonstration had an unexpected result."""


class Demo:
    """The steps in order. Each prints its action, and raises DemoError if the result is unexpected."""

    def __init__(self, env: Mapping[str, str], console: Console) -> None:
        self._env = env
        self._console = console
        self._steps = 0

    async def run(self, source: Path) -> None:
        addresses = self._env["GOSTREAM_API_ADDR"].split(",")
        door_of_second = self._env["GOSTREAM_READ_ADDR"].split(",")[-1]
        async with (
            AsyncClient(addresses[0]) as first,
            AsyncClient(addresses[-1]) as second,
            AsyncClient(door_of_second) as door,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), raise_for_status=True) as http,
        ):
            video = await self._upload(first, source)
            video = await self._process(first, video, "Process: probe, plan the ladder, encode, publish")
            self._show_ladder(video)
            await self._read_through_the_caches(first, second, door, video.id)
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
            video = await client.upload(source, user_id="demo", events=UploadEvents(on_sent=show))
        self._say(f"CreateVideo → {video.id}, {status_name(video)}, and a presigned PUT")
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
        url = f"{self._env['GOSTREAM_HTTP_URL']}/v1/videos/{video_id}"
        async with http.get(url) as answer:
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
        uploaded = await client.upload(Path(__file__), title="not a video", user_id="demo")
        async with asyncio.timeout(READY_DEADLINE):
            video = await self._follow(client, await client.trigger_process(uploaded.id))
        self._say(f"{status_name(video)} {video.error.code}: {video.error.message}")
        _expect(video.error.code == "SOURCE_NOT_MEDIA", "it should have been SOURCE_NOT_MEDIA")

    def _step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"\n[bold]{self._steps}. {title}[/]")

    def _say(self, text: str) -> None:
        self._console.print(f"   {text}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def sample_clip(folder: Path, console: Console) -> Iterator[Path]:
    """Yields a file of 12 s of moving 1080p and a tone, made by ffmpeg and removed afterwards."""
    import subprocess

    from imageio_ffmpeg import get_ffmpeg_exe

    path = folder / "sample-1080p.mp4"
    console.print("Making a sample of 12 s, 1080p, with sound …")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=12")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=12")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest")
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *picture, *sound, *coding, str(path)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    if made.returncode:
        raise DemoError(f"ffmpeg could not make the sample: {made.stderr.strip()}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def where_to_go_on(env: Mapping[str, str], console: Console) -> None:
    """Prints the next commands to try with `make up`."""
    address = env["GOSTREAM_API_ADDR"].split(",")[0]
    console.print("\nTo start it yourself: [bold]make up[/], and in another terminal")
    for line in (
        ".venv/bin/gostream upload FILE --watch",
        "grpcurl -plaintext -d '{\"page_size\":10}' localhost:50051 gostream.v1.VideoService/ListVideos",
        f"(this ran at gRPC {address}, JSON {env['GOSTREAM_HTTP_URL']}, edge {env['CDN_BASE_URL']})",
    ):
        console.print(f"   {line}", highlight=False, soft_wrap=True, markup=False)


def _expect(condition: bool, sentence: str) -> None:
    if not condition:
        raise DemoError(sentence or "unexpected result")


async def _at_version(client: AsyncClient, video: video_pb2.Video) -> Reply:
    while (reply := await client.get_video_reply(video.id)).video.version < video.version:
        await asyncio.sleep(0.01)
    return reply


def _last_uri(playlist: bytes) -> str:
    return [line for line in playlist.decode().splitlines() if line and not line.startswith("#")][-1]


def _rate(bits_per_second: int) -> str:
    return f"{bits_per_second / 1e6:.2f} Mb/s"
