"""How long edges serve a video after its deletion or revocation: `python -m benchmarks.load.takedown`.

A whole stack with two edges; viewers ask for a cached segment at a fixed rate. Counted from the reply of the
call, which comes after the commit, to the last request that was answered 200. The bound is 5 s.
"""

import argparse
import asyncio
import http.client
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from urllib.parse import urljoin

import aiohttp
from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.report import table, write_report
from gostream_client import AsyncClient
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.instance.stack import Options, Stack
from gostream_devstack.instance.up import start_somewhere
from gostream_devstack.servers.nginx import Nginx

BOUND = 5.0
MAX_ROUNDS, MAX_RATE = 50, 5000
#: Seconds of requests before and after the call.
_BEFORE, _AFTER = 1.0, 7.0
#: Viewers at each edge.
_VIEWERS = 4


@dataclass
class Seen:
    """The requests of one viewer. `last`: when it asked for the last answer that was a 200."""

    last: float = 0.0
    answers: int = 0
    elapsed: float = 0.0


@contextmanager
def running() -> Iterator[tuple[Stack, list[Nginx]]]:
    """Starts a stack with one API and one worker, and a second edge."""
    with tempfile.TemporaryDirectory() as folder:
        directories = Directories.at(Path(folder) / "stack")
        state, ports = State(), Ports({})
        options = Options(durable=False)
        stack = start_somewhere(
            lambda: Stack(directories, state, ports, options), ports, lambda *_: None, print
        )
        try:
            first = stack.servers["nginx"]
            assert isinstance(first, Nginx)
            port = ports.pick("second")
            second = Nginx(
                directories, port, first.origin, first.refresh_secret, "second", first.playback_keys
            )
            second.start()
            try:
                yield stack, [first, second]
            finally:
                second.stop()
        finally:
            stack.stop()
            directories.remove()


async def publish(client: AsyncClient, clip: Path, policy: str) -> str:
    """Uploads and encodes a video. Returns its id."""
    made = await client.upload(clip, title="x", user_id="bench", policy=policy)
    began = await client.trigger_process(made.id)
    await client.wait(began.id, min_version=began.version)
    return began.id


async def segment_of(session: aiohttp.ClientSession, master: str) -> str:
    """Returns the path of a segment, with its token."""
    url = master
    for _ in range(2):
        async with session.get(url) as answer:
            lines = (await answer.text()).splitlines()
        url = urljoin(url, [line for line in lines if line and not line.startswith("#")][-1])
    return "/" + url.split("/", 3)[3]


def view(edge: Nginx, path: str, rate: float, seen: Seen, stop: threading.Event) -> None:
    """Asks an edge at a fixed rate over one connection, until `stop` is set."""
    connection = http.client.HTTPConnection(edge.host, edge.port, timeout=10)
    next_at = began = monotonic()
    while not stop.wait(max(0.0, next_at - monotonic())):
        # A late viewer does not catch up by a burst.
        next_at = max(next_at + 1 / rate, monotonic() - 0.1)
        asked = monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        seen.answers += 1
        seen.elapsed = monotonic() - began
        if answer.status == 200:
            seen.last = asked
    connection.close()


async def measure(
    edges: list[Nginx], path: str, rate: int, end: Callable[[], Awaitable[object]]
) -> tuple[float, float]:
    """Returns the seconds until the last edge refused, and the requests per second at all edges."""
    stop = threading.Event()
    seen = [Seen() for _ in range(_VIEWERS * len(edges))]
    with ThreadPoolExecutor(len(seen)) as threads:
        views = [
            threads.submit(view, edges[number % len(edges)], path, rate / len(seen), each, stop)
            for number, each in enumerate(seen)
        ]
        try:
            await asyncio.sleep(_BEFORE)
            await end()
            committed = monotonic()
            await asyncio.sleep(_AFTER)
        finally:
            stop.set()
    for ended in views:
        ended.result()
    if not all(each.last for each in seen):
        raise RuntimeError("an edge served nothing before the call")
    return max(each.last for each in seen) - committed, sum(each.answers / each.elapsed for each in seen)


async def measure_all(
    stack: Stack, edges: list[Nginx], clip: Path, rounds: int, rate: int
) -> dict[str, list[tuple[float, float]]]:
    """Measures revocations of one signed video, and deletions of public ones."""
    found: dict[str, list[tuple[float, float]]] = {"RevokePlayback": [], "DeleteVideo": []}
    async with AsyncClient(stack.env["GOSTREAM_API_ADDR"]) as client, aiohttp.ClientSession() as session:
        signed = await publish(client, clip, "signed")
        for _ in range(rounds):
            path = await segment_of(session, (await client.get_playback_info(signed)).playback_url)
            revoked = await measure(edges, path, rate, lambda: client.revoke_playback(signed))
            found["RevokePlayback"].append(revoked)
            public = await publish(client, clip, "public")
            path = await segment_of(session, (await client.get_playback_info(public)).playback_url)
            gone = await measure(edges, path, rate, lambda: client.delete_video(public))  # noqa: B023
            found["DeleteVideo"].append(gone)
    return found


def make_clip(folder: Path) -> Path:
    """Makes a video of 4 s."""
    path = folder / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4", "-pix_fmt", "yuv420p"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, "-c:v", "libx264", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.takedown", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help=f"1 to {MAX_ROUNDS}")
    parser.add_argument(
        "--rate", type=int, default=500, help=f"requests per second at both edges together, 1 to {MAX_RATE}"
    )
    options = parser.parse_args()
    if not 1 <= options.rounds <= MAX_ROUNDS or not 1 <= options.rate <= MAX_RATE:
        parser.error("--rounds or --rate out of range")
    return options


def main() -> None:
    """Measures, writes results/takedown.md, and fails above the bound."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, running() as (stack, edges):
        clip = make_clip(Path(folder))
        found = asyncio.run(measure_all(stack, edges, clip, options.rounds, options.rate))
    rows = [
        (
            call,
            f"{median(s for s, _ in each):.2f}",
            f"**{max(s for s, _ in each):.2f}**",
            f"{median(r for _, r in each):.0f}",
        )
        for call, each in found.items()
    ]
    write_report(
        "takedown",
        "Seconds that edges serve a video after it was taken down",
        table(("call", "median", "longest", "requests /s"), rows),
        f"{options.rounds} rounds, two edges, one cached segment. The bound is {BOUND:g} s.",
    )
    if max(seconds for each in found.values() for seconds, _ in each) > BOUND:
        sys.exit(f"above {BOUND:g} s")


if __name__ == "__main__":
    main()
