"""Trees read from hostile directories and from a real HTTP server."""

import errno
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gostream_conformance.check import check
from gostream_conformance.errors import UnreadableError
from gostream_conformance.formats.mpegts import PACKET
from gostream_conformance.report import Report
from gostream_conformance.rules.tree import WORTH_COMPRESSING
from gostream_conformance.tree.loader import Limits, load
from gostream_conformance.tree.sources import ORIGIN, DirectorySource, HttpSource, Resource, joined

from .breaking import MASTER, SUBTITLES, before_sound, edit
from .test_rules import broken

TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
}


@dataclass
class Edge:
    """Behaviour of the test's HTTP server. The defaults conform to every rule."""

    types: Mapping[str, str] = field(default_factory=lambda: TYPES)
    compress: bool = True
    cors: Callable[[web.StreamResponse], tuple[str, ...]] = lambda answer: ("*",)
    dress: Callable[[web.StreamResponse], None] = lambda answer: None
    missing: int = 404
    redirect: str = ""
    range_body: bytes = b""
    range_said: str = ""
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
            return web.Response(status=edge.missing)
        if file.suffix == ".ts" and edge.range_body and "Range" in request.headers:
            return web.Response(body=edge.range_body, status=206, headers={"Content-Range": edge.range_said})
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
        for origin in edge.cors(answer):
            answer.headers.add("Access-Control-Allow-Origin", origin)
        edge.dress(answer)

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
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                body = await answer.read()
                if len(body) > limit:
                    raise UnreadableError("too large")
                return Resource(body, answer.status, joined(answer.headers.items()))

        yield HttpSource(f"http://{host}:{port}/master.m3u8", fetch)
    await runner.cleanup()


async def test_well_served_tree_breaks_no_rule(good_tree: Path) -> None:
    edge = Edge()
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]
    segments = [name for name in edge.requests if name.endswith(".ts")]
    assert len(segments) == len(set(segments)) + 1  # each once, plus one range


def without(status: int) -> Callable[[web.StreamResponse], tuple[str, ...]]:
    return lambda answer: () if answer.status == status else ("*",)


def coded(media_type: str) -> Callable[[web.StreamResponse], None]:
    """Adds a false Content-Encoding to responses of this media type; the body is unchanged."""

    def dress(answer: web.StreamResponse) -> None:
        if answer.headers.get("Content-Type") == media_type:
            answer.headers["Content-Encoding"] = "x-none"

    return dress


@pytest.mark.parametrize(
    "edge",
    [
        Edge(cors=lambda answer: (ORIGIN,)),
        Edge(range_body=b"x" * 188, range_said="bytes 0-187/*"),
        Edge(missing=403),
    ],
)
async def test_valid_serving_variants_break_no_rule(tree: Path, edge: Edge) -> None:
    (tree / "v1/storyboard.vtt").unlink()
    async with served(tree, edge) as source:
        report = await check(source)
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]


async def test_only_headers_that_rules_read_are_kept(good_tree: Path) -> None:
    def dress(answer: web.StreamResponse) -> None:
        answer.headers.update({"X-Large": "a" * 8000, "Location": "b" * 8000})

    async with served(good_tree, Edge(dress=dress)) as source:
        found = await load(source, Limits())
    kept = [sum(map(len, answer.headers.values())) for answer in found.answers.values()]
    assert max(kept) < 500


@pytest.mark.parametrize(
    ("edge", "rule"),
    [
        (Edge(types=TYPES | {".m3u8": "text/plain"}), "whole.media-types"),
        (Edge(types=TYPES | {".ts": "application/octet-stream"}), "whole.media-types"),
        (Edge(types=TYPES | {".vtt": "text/plain"}), "whole.media-types"),
        (Edge(types=TYPES | {".jpg": "image/png"}), "whole.media-types"),
        (Edge(compress=False), "whole.gzip"),
        (Edge(cors=without(404)), "whole.cors"),
        (Edge(cors=without(206)), "whole.cors"),
        (Edge(cors=without(304)), "whole.cors"),
        (Edge(cors=without(200)), "whole.cors"),
        (Edge(cors=lambda answer: ("https://only-me.example",)), "whole.cors"),
        (Edge(cors=lambda answer: ("null",)), "whole.cors"),
        (Edge(cors=lambda answer: ("",)), "whole.cors"),
        (Edge(cors=lambda answer: ("*", "*")), "whole.cors"),
        (Edge(range_body=b"x" * 188, range_said="bytes 5000-5187/9999"), "whole.cors"),
        (Edge(range_body=b"x" * 188), "whole.cors"),
        (Edge(range_body=b"x" * 187, range_said="bytes 0-187/*"), "whole.cors"),
        (Edge(dress=coded("image/jpeg")), "whole.gzip"),
        (Edge(dress=coded("video/mp2t")), "whole.gzip"),
    ],
)
async def test_wrong_response_header_is_found(good_tree: Path, edge: Edge, rule: str) -> None:
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == {rule}


async def test_redirect_is_found_and_not_followed(good_tree: Path) -> None:
    edge = Edge(redirect="v1/360p/seg2.ts")
    async with served(good_tree, edge) as source:
        report = await check(source)
    assert broken(report) == {"whole.no-redirects", "master.uris-answer"}
    assert not any(name.startswith("elsewhere") for name in edge.requests)


async def test_optional_storyboard_is_requested_and_may_be_missing(tree: Path) -> None:
    (tree / "v1/storyboard.vtt").unlink()
    edge = Edge()
    async with served(tree, edge) as source:
        report = await check(source)
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]
    assert "v1/storyboard.vtt" in edge.requests
    assert "v1/storyboard.jpg" not in edge.requests


async def test_missing_master_ends_the_check(tmp_path: Path, good_tree: Path) -> None:
    with pytest.raises(UnreadableError):
        await check(DirectorySource(tmp_path))
    async with served(tmp_path, Edge()) as source:
        with pytest.raises(UnreadableError, match="answers 404"):
            await check(source)


async def test_links_out_and_devices_are_not_read(tree: Path, tmp_path: Path) -> None:
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
async def test_exceeded_limits_are_reported_as_unreadable(good_tree: Path, limits: Limits) -> None:
    try:
        report = await check(DirectorySource(good_tree), limits=limits)
    except UnreadableError:
        assert limits.playlist_bytes == 300
        return
    assert "master.uris-answer" in broken(report)


@pytest.mark.parametrize("uri", ["../360p/seg1.ts", "%2e/seg1.ts", "seg1.ts#t=1", "seg1.ts?v=1", "seg%31.ts"])
async def test_equivalent_uri_spellings_name_one_file(tree: Path, uri: str) -> None:
    edit("v1/360p/playlist.m3u8", "seg1.ts", uri)(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == set(), [f for o in report.outcomes for f in o.findings]


async def test_subtitle_files_are_required_and_no_strays(tree: Path) -> None:
    before_sound(SUBTITLES.format("v1/subs/de.m3u8"))(tree)
    (tree / "v1/subs").mkdir()
    (tree / "v1/subs/0.ts").touch()
    (tree / "v1/subs/de.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:6,\n0.ts\n"
        "#EXTINF:6,\n1.ts\n#EXTINF:2,\n../../../2.ts\n#EXT-X-ENDLIST\n"
    )
    report = await check(DirectorySource(tree))
    assert places(report) == {
        ("master.uris-answer", "v1/subs/1.ts"),
        ("master.uris-stay", "v1/subs/de.m3u8:9"),
    }


async def test_uris_of_keys_outside_the_tree_are_found(tree: Path) -> None:
    keys = '#EXT-X-KEY:METHOD=AES-128,X="a,URI=b",URI="http://169.254.169.254/key"\n#EXT-X-NEW:URI="../../../x"\n'
    edit("v1/360p/playlist.m3u8", "#EXTINF", keys + "#EXTINF")(tree)
    edit(MASTER, "#EXT-X-MEDIA", '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="file:///etc/passwd"\n#EXT-X-MEDIA')(
        tree
    )
    report = await check(DirectorySource(tree))
    outside = [f.why for o in report.outcomes if o.rule.id == "master.uris-stay" for f in o.findings]
    assert len(outside) == 3
    assert not any("'b'" in why for why in outside)


async def test_map_file_is_no_stray(tree: Path) -> None:
    rung = tree / "v1/360p"
    (rung / "head.ts").write_bytes((rung / "seg0.ts").read_bytes()[:564])
    edit("v1/360p/playlist.m3u8", "#EXTINF", '#EXT-X-MAP:URI="head.ts"\n#EXTINF')(tree)
    assert "whole.no-stray-files" not in broken(await check(DirectorySource(tree)))


async def test_byte_range_beyond_its_file_is_found(tree: Path) -> None:
    for number in range(3):
        size = (tree / f"v1/360p/seg{number}.ts").stat().st_size + (188 if number == 2 else 0)
        ranged = f"\n#EXT-X-BYTERANGE:{size}@0\nseg{number}.ts"
        edit("v1/360p/playlist.m3u8", f"\nseg{number}.ts", ranged)(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == {"master.uris-answer"}
    [why] = [f.why for o in report.outcomes for f in o.findings]
    assert why == f"v1/360p/seg2.ts has {size - 188} bytes, the byte range ends at {size}"


async def test_map_beyond_its_file_is_found(tree: Path) -> None:
    edit("v1/180p/iframes.m3u8", '"564@0"', '"564000000@0"')(tree)
    whys = [why for _, why in (await load(DirectorySource(tree), Limits())).unreadable]
    assert any("the byte range ends at 564000000" in why for why in whys)


async def test_ranges_and_their_maps_count_towards_the_total(tree: Path) -> None:
    playlist = tree / "v1/360p/playlist.m3u8"
    size = (tree / "v1/360p/seg0.ts").stat().st_size
    ranges = [f"#EXTINF:6.0,\n#EXT-X-BYTERANGE:188@{188 * n}\nseg0.ts\n" for n in range(100)]
    head = '#EXT-X-MAP:URI="seg0.ts"\n'
    playlist.write_text(
        playlist.read_text().replace("#EXT-X-ENDLIST", head + "".join(ranges) + "#EXT-X-ENDLIST")
    )
    found = await load(DirectorySource(tree), Limits(total_bytes=20 * size))
    assert any("bytes in all" in why for _, why in found.unreadable)


async def test_number_of_other_files_is_limited(tree: Path) -> None:
    data = "".join(f'#EXT-X-SESSION-DATA:DATA-ID="{n}",URI="{n}.json"\n' for n in range(40))
    edit(MASTER, "#EXT-X-MEDIA", data + "#EXT-X-MEDIA")(tree)
    found = await load(DirectorySource(tree), Limits(segments=30))
    assert (MASTER, "more than 30 other files") in found.unreadable
    assert not any("0.json" in why for _, why in found.unreadable)


async def test_unlistable_directory_is_a_finding(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def refuse(top: Path, onerror: Callable[[OSError], None]) -> Iterator[tuple[str, list[str], list[str]]]:
        yield from walk(top, onerror=onerror)
        onerror(PermissionError(errno.EACCES, "Permission denied", f"{top}/v1/audio"))

    monkeypatch.setattr(os, "walk", refuse)
    report = await check(DirectorySource(tree))
    assert places(report) == {("master.uris-answer", MASTER)}
    [why] = [f.why for o in report.outcomes for f in o.findings]
    assert why == f"{tree}/v1/audio cannot be listed: permission denied"


async def test_findings_above_fifty_are_only_counted(tree: Path) -> None:
    listed = "".join(f"#EXTINF:6,\nx{n}.ts\n" for n in range(80))
    edit("v1/360p/playlist.m3u8", "#EXT-X-ENDLIST", listed + "#EXT-X-ENDLIST")(tree)
    report = await check(DirectorySource(tree))
    [outcome] = [outcome for outcome in report.outcomes if outcome.rule.id == "master.uris-answer"]
    assert (len(outcome.findings), outcome.more) == (50, 30)
    assert '"more": 30' in json.dumps(report.document())


def places(report: Report) -> set[tuple[str, str]]:
    return {(outcome.rule.id, f.where) for outcome in report.outcomes for f in outcome.findings}


FILES = [
    "master.m3u8",
    "v1/360p/playlist.m3u8",
    "v1/180p/iframes.m3u8",
    "v1/audio/playlist.m3u8",
    "v1/audio/seg2.ts",
    "v1/storyboard.vtt",
    "v1/storyboard.jpg",
]


async def test_repeated_file_is_read_and_measured_once(tree: Path) -> None:
    playlist = tree / "v1/360p/playlist.m3u8"
    text = playlist.read_text()
    playlist.write_text(text.replace("#EXT-X-ENDLIST", "#EXTINF:6.0,\nseg0.ts\n" * 1000 + "#EXT-X-ENDLIST"))
    report = await check(DirectorySource(tree), limits=Limits(total_bytes=10_000_000))
    assert "media.same-boundaries" in broken(report)
    assert "master.uris-answer" not in broken(report)


async def test_ranges_of_one_file_stop_at_the_total(tree: Path) -> None:
    playlist = tree / "v1/360p/playlist.m3u8"
    size = (tree / "v1/360p/seg0.ts").stat().st_size
    ranges = [f"#EXTINF:6.0,\n#EXT-X-BYTERANGE:{size - n}@0\nseg0.ts\n" for n in range(1, 1000)]
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST", "".join(ranges) + "#EXT-X-ENDLIST"))
    report = await check(DirectorySource(tree), limits=Limits(total_bytes=20 * size))
    whys = [f.why for o in report.outcomes if o.rule.id == "master.uris-answer" for f in o.findings]
    assert any("bytes in all" in why for why in whys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.slow
async def test_mutated_trees_never_crash_the_checker(tree: Path, data: st.DataObject) -> None:
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


async def test_segment_error_keeps_no_bytes(tree: Path) -> None:
    (tree / "v1/360p/seg0.ts").write_bytes(b"\x47".ljust(PACKET, b"\xff"))

    presentation = await load(DirectorySource(tree), Limits())

    problem = presentation.tracks["v1/360p/playlist.m3u8"].pieces[0].problem
    assert problem is not None
    assert problem.__traceback__ is None
