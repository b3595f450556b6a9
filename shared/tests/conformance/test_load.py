"""Reading trees from real places: disks with traps in them, and a real HTTP server."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gostream_shared.conformance.check import check
from gostream_shared.conformance.errors import UnreadableError
from gostream_shared.conformance.load import Limits, load
from gostream_shared.conformance.rules.whole import WORTH_COMPRESSING
from gostream_shared.conformance.sources import DirectorySource, HttpSource, Resource
from gostream_shared.conformance.ts import PACKET

from .test_rules import broken

TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
}


@dataclass
class Edge:
    """How the server of a test behaves; as it is made, it keeps every rule."""

    types: Mapping[str, str] = field(default_factory=lambda: TYPES)
    compress: bool = True
    cors: Callable[[web.StreamResponse], bool] = lambda answer: True
    redirect: str = ""
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def served(tree: Path, edge: Edge) -> AsyncIterator[HttpSource]:
    async def get(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        edge.requests.append(name)
        file = tree / name
        if edge.redirect and name == edge.redirect:
            raise web.HTTPFound(f"/elsewhere/{name}")
        if not file.is_file():
            return web.Response(status=404)
        if file.suffix == ".ts":
            return web.FileResponse(file, headers={"Content-Type": edge.types[".ts"]})
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers={"ETag": '"1"'})
        answer = web.Response(
            body=file.read_bytes(), headers={"Content-Type": edge.types[file.suffix], "ETag": '"1"'}
        )
        if edge.compress and file.stat().st_size >= WORTH_COMPRESSING:
            answer.enable_compression()
        return answer

    async def allow(request: web.Request, answer: web.StreamResponse) -> None:
        if edge.cors(answer):
            answer.headers["Access-Control-Allow-Origin"] = "*"

    app = web.Application()
    app.router.add_get("/{name:.+}", get)
    app.on_response_prepare.append(allow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:

        async def fetch(url: str, headers: Mapping[str, str], limit: int) -> Resource:
            headers = {"Accept-Encoding": "identity", **headers}
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                body = await answer.read()
                if len(body) > limit:
                    raise UnreadableError("too large")
                found = {key.lower(): value for key, value in answer.headers.items()}
                return Resource(body, answer.status, found)

        yield HttpSource(f"http://{host}:{port}/master.m3u8", fetch)
    await runner.cleanup()


async def test_a_well_served_tree_breaks_no_rule(good_tree: Path) -> None:
    edge = Edge()
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]
    segments = [name for name in edge.requests if name.endswith(".ts")]
    assert len(segments) == len(set(segments)) + 1  # each once, and one range


@pytest.mark.parametrize(
    ("edge", "rule"),
    [
        (Edge(types=TYPES | {".m3u8": "text/plain"}), "whole.media-types"),
        (Edge(types=TYPES | {".ts": "application/octet-stream"}), "whole.media-types"),
        (Edge(types=TYPES | {".vtt": "text/plain"}), "whole.media-types"),
        (Edge(types=TYPES | {".jpg": "image/png"}), "whole.media-types"),
        (Edge(compress=False), "whole.gzip"),
        (Edge(cors=lambda answer: answer.status != 404), "whole.cors"),
        (Edge(cors=lambda answer: answer.status != 206), "whole.cors"),
        (Edge(cors=lambda answer: answer.status != 304), "whole.cors"),
        (Edge(cors=lambda answer: answer.status != 200), "whole.cors"),
    ],
)
async def test_a_badly_dressed_answer_is_found(good_tree: Path, edge: Edge, rule: str) -> None:
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == {rule}


async def test_a_redirect_is_found_and_not_followed(good_tree: Path) -> None:
    edge = Edge(redirect="v1/360p/seg2.ts")
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == {"whole.no-redirects", "master.uris-answer"}
    assert not any(name.startswith("elsewhere") for name in edge.requests)


async def test_a_tree_without_a_storyboard_is_asked_for_it_and_breaks_no_rule(tree: Path) -> None:
    (tree / "v1/storyboard.vtt").unlink()
    edge = Edge()
    async with served(tree, edge) as source:
        report = await check(source)
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]
    assert "v1/storyboard.vtt" in edge.requests
    assert "v1/storyboard.jpg" not in edge.requests


async def test_without_a_master_there_is_nothing_to_judge(tmp_path: Path, good_tree: Path) -> None:
    with pytest.raises(UnreadableError):
        await check(DirectorySource(tmp_path))
    async with served(tmp_path, Edge()) as source:
        with pytest.raises(UnreadableError, match="answers 404"):
            await check(source)


async def test_links_out_of_the_tree_and_devices_are_not_read(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes((tree / "v1/360p/seg1.ts").read_bytes())
    for name, target in (("seg1.ts", secret), ("seg2.ts", Path("/dev/zero"))):
        (tree / "v1/360p" / name).unlink()
        (tree / "v1/360p" / name).symlink_to(target)
    os.mkfifo(tree / "v1/180p/pipe.ts")
    report = await check(DirectorySource(tree))
    assert broken(report) == {"master.uris-answer"}
    unreadable = [f.where for o in report.outcomes for f in o.findings]
    assert sorted(unreadable) == ["v1/360p/seg1.ts", "v1/360p/seg2.ts"]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(playlist_bytes=300),
        Limits(segment_bytes=100_000),
        Limits(playlists=2),
        Limits(segments=5),
        Limits(pictures=0),
        Limits(total_bytes=500_000),
    ],
)
async def test_what_goes_beyond_a_limit_is_unreadable_and_says_so(good_tree: Path, limits: Limits) -> None:
    try:
        report = await check(DirectorySource(good_tree), limits=limits)
    except UnreadableError:
        assert limits.playlist_bytes == 300
        return
    assert "master.uris-answer" in broken(report)


FILES = [
    "master.m3u8",
    "v1/360p/playlist.m3u8",
    "v1/180p/iframes.m3u8",
    "v1/audio/playlist.m3u8",
    "v1/audio/seg2.ts",
    "v1/storyboard.vtt",
    "v1/storyboard.jpg",
]


async def test_one_file_listed_a_thousand_times_is_read_and_measured_once(tree: Path) -> None:
    playlist = tree / "v1/360p/playlist.m3u8"
    text = playlist.read_text()
    playlist.write_text(text.replace("#EXT-X-ENDLIST", "#EXTINF:6.0,\nseg0.ts\n" * 1000 + "#EXT-X-ENDLIST"))
    report = await check(DirectorySource(tree), limits=Limits(total_bytes=10_000_000))
    assert "media.same-boundaries" in broken(report)
    assert "master.uris-answer" not in broken(report)


async def test_a_thousand_ranges_of_one_file_end_at_the_total(tree: Path) -> None:
    playlist = tree / "v1/360p/playlist.m3u8"
    size = (tree / "v1/360p/seg0.ts").stat().st_size
    ranges = [f"#EXTINF:6.0,\n#EXT-X-BYTERANGE:{size - n}@0\nseg0.ts\n" for n in range(1, 1000)]
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST", "".join(ranges) + "#EXT-X-ENDLIST"))
    report = await check(DirectorySource(tree), limits=Limits(total_bytes=20 * size))
    whys = [f.why for o in report.outcomes if o.rule.id == "master.uris-answer" for f in o.findings]
    assert any("bytes in all" in why for why in whys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
async def test_no_mutation_of_a_tree_makes_the_checker_itself_fail(tree: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    good = (tree / name).read_bytes()
    changed = bytearray(good)
    edits = st.tuples(
        st.integers(0, len(good) - 1), st.sampled_from([b"", b"0", b"\n", b"9999999", b'"', b"\xff"])
    )
    for at, new in data.draw(st.lists(edits, min_size=1, max_size=6)):
        changed[at : at + data.draw(st.integers(0, 12))] = new
    (tree / name).write_bytes(changed)
    try:
        report = await check(DirectorySource(tree))
        report.document()
    except UnreadableError:
        pass
    finally:
        (tree / name).write_bytes(good)


async def test_why_a_segment_cannot_be_read_is_kept_without_its_bytes(tree: Path) -> None:
    (tree / "v1/360p/seg0.ts").write_bytes(b"\x47".ljust(PACKET, b"\xff"))

    presentation = await load(DirectorySource(tree), Limits())

    problem = presentation.tracks["v1/360p/playlist.m3u8"].pieces[0].problem
    assert problem is not None
    assert problem.__traceback__ is None
