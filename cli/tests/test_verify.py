"""`gostream verify` as a process; the rules are tested with the library."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import imageio_ffmpeg
import pytest
from aiohttp import web

from conformance.tests.fragments import build_fragments
from gostream_cli.verify_decode import Decoded, run_decoder
from tests.support.fake_server import Store

from .conftest import Gostream

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
MASTER = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH={bits},AVERAGE-BANDWIDTH={bits},CODECS="avc1.64000d",RESOLUTION=320x180,FRAME-RATE=25.000
180p/playlist.m3u8
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One silent rung of 4 s: conformant except for the missing I-frame playlist."""
    tree = tmp_path_factory.mktemp("hls")
    (tree / "180p").mkdir()
    subprocess.run(
        [
            *(FFMPEG, "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4"),
            *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-level:v", "1.3", "-g", "50"),
            *("-pix_fmt", "yuv420p", "-x264-params", "scenecut=0:open-gop=0", "-f", "hls", "-hls_time", "6"),
            *("-hls_playlist_type", "vod", "-hls_segment_filename", str(tree / "180p/%d.ts")),
            str(tree / "180p/playlist.m3u8"),
        ],
        check=True,
        timeout=100,
    )
    bits = (tree / "180p/0.ts").stat().st_size * 8 // 4
    (tree / "master.m3u8").write_text(MASTER.format(bits=bits))
    return tree


def broken(document: str) -> list[str]:
    return [rule["id"] for rule in json.loads(document)["rules"] if not rule["passed"]]


async def test_broken_must_exits_1_and_prints_the_finding(gostream: Gostream, tree: Path) -> None:
    ran = await gostream("verify", str(tree))
    assert ran.code == 1
    assert "MUST   master.iframes" in ran.stdout
    assert "master.m3u8: no EXT-X-I-FRAME-STREAM-INF" in ran.stdout
    assert ran.stderr == "gostream: 1 must rule is broken (NOT_CONFORMANT)\n"


async def test_json_is_one_document_with_every_rule(gostream: Gostream, tree: Path) -> None:
    ran = await gostream("verify", str(tree / "master.m3u8"), "--json")
    assert ran.code == 1
    assert broken(ran.stdout) == ["master.iframes"]
    assert json.loads(ran.stdout)["passed"] is False
    assert json.loads(ran.stderr)["error"]["reason"] == "NOT_CONFORMANT"


async def test_decode_counts_frames_and_reports_decoder_errors(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    ran = await gostream("verify", str(tree), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    rules = {rule["id"]: rule["passed"] for rule in json.loads(ran.stdout)["rules"]}
    assert (rules["whole.decodes"], rules["whole.frames"]) == (True, True)
    segment = tree / "180p/0.ts"
    good = segment.read_bytes()
    spoilt = bytearray(good)
    for packet in range(60, 200, 7):  # payload bytes in the middle of packets, which no parser reads
        spoilt[packet * 188 + 60 : packet * 188 + 90] = b"\x5a" * 30
    try:
        segment.write_bytes(spoilt)
        ran = await gostream("verify", str(tree), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    finally:
        segment.write_bytes(good)
    assert "whole.decodes" in broken(ran.stdout)


async def test_fragmented_mp4_is_decoded_too(gostream: Gostream, tmp_path: Path) -> None:
    build_fragments(tmp_path)
    ran = await gostream("verify", str(tmp_path), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    assert (ran.code, broken(ran.stdout)) == (0, [])


async def test_decode_ignores_playlists_outside_the_tree(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "180p").mkdir()
    (tmp_path / "master.m3u8").write_text((tree / "master.m3u8").read_text())
    playlist = (tree / "180p/playlist.m3u8").read_text().replace("0.ts", "file:///etc/passwd")
    (tmp_path / "180p/playlist.m3u8").write_text(playlist)
    ran = await gostream("verify", str(tmp_path), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    whys = [f["why"] for rule in json.loads(ran.stdout)["rules"] for f in rule["findings"]]
    assert whys.count("not decoded: the playlists are broken") == 2
    assert not any("root:" in why for why in whys)


async def test_decode_skips_encrypted_trees_and_their_keys(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tree, tmp_path / "hls")
    (copy / "180p/key").write_bytes(b"0" * 16)
    playlist = copy / "180p/playlist.m3u8"
    playlist.write_text(
        playlist.read_text().replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF')
    )
    ran = await gostream("verify", str(copy), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    whys = {rule["id"]: [f["why"] for f in rule["findings"]] for rule in json.loads(ran.stdout)["rules"]}
    assert whys["whole.decodes"] == whys["whole.frames"] == ["not decoded: unsupported: encrypted"]


async def test_decode_requests_only_the_checked_server(gostream: Gostream, tree: Path) -> None:
    elsewhere: list[str] = []
    reads: list[str] = []

    async def get(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/elsewhere"):
            elsewhere.append(request.path)
        reads.append(request.path)
        if (
            reads.count(request.path) == 3
        ):  # the checker has read the segment and a range; now the decoder reads
            raise web.HTTPFound(f"/elsewhere{request.path}")
        return web.FileResponse(tree / request.path[1:])

    async with served(get) as url:
        ran = await gostream("verify", url, "--json", "--decode", FFMPEG_PATH=FFMPEG)
    whys = {rule["id"]: [f["why"] for f in rule["findings"]] for rule in json.loads(ran.stdout)["rules"]}
    assert elsewhere == []
    assert whys["whole.decodes"][0].startswith("180p/0.ts answers 302")
    assert reads.count("/180p/playlist.m3u8") == 1


async def test_decode_reads_byte_ranges_and_maps(gostream: Gostream, tree: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tree, tmp_path / "hls")
    data = (tree / "180p/0.ts").read_bytes()
    (copy / "180p/0.ts").write_bytes(b"\xff" * 188 + data)
    playlist = copy / "180p/playlist.m3u8"
    half = len(data) // 376 * 188
    ranges = (
        f'#EXT-X-MAP:URI="0.ts",BYTERANGE="564@188"\n#EXT-X-BYTERANGE:{half - 564}@752\n0.ts\n'
        f"#EXTINF:2.0,\n#EXT-X-BYTERANGE:{len(data) - half}\n0.ts"
    )
    playlist.write_text(playlist.read_text().replace("0.ts", ranges))
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/heard\n")
    program.chmod(0o755)
    await gostream("verify", str(copy), "--decode", FFMPEG_PATH=str(program))
    assert (tmp_path / "heard").read_bytes() == data


@pytest.mark.parametrize("ending", ["exec sleep 60", "exec yes >&2"])
async def test_hanging_decoder_is_killed(tmp_path: Path, ending: str) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{ending}\n")
    program.chmod(0o755)

    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield b"G" * 188

    decoded = await run_decoder(str(program), stream(), limit=1)
    assert decoded == Decoded(0, "not decoded within 1 s")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_findings_cannot_inject_terminal_escapes(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tree, tmp_path / "hls")
    (copy / "180p/\x1b]0;owned\x07\x9b2J\u202e.ts").touch()
    ran = await gostream("verify", str(copy), PYTHONIOENCODING="utf-8")
    assert r"180p/\x1b]0;owned\x07\x9b2J\u202e.ts: is not referenced" in ran.stdout
    assert not set("\x1b\x07\x9b\u202e") & set(ran.stdout)


async def test_ascii_terminal_gets_the_complete_report(gostream: Gostream, tree: Path) -> None:
    ran = await gostream(
        "verify", str(tree), "--decode", FFMPEG_PATH="/bin/false", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert r"duration \xd7 FRAME-RATE" in ran.stdout
    assert "musts and" in ran.stdout


async def test_omitted_findings_are_counted(gostream: Gostream, tree: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tree, tmp_path / "hls")
    for number in range(80):
        (copy / f"180p/x{number}.ts").touch()
    ran = await gostream("verify", str(copy))
    assert "\n       and 30 more\n" in ran.stdout


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("ftp://host/hls", 2, "ftp:// is not supported, only http://, https:// and directories"),
        ("file:///etc", 2, "file:// is not supported"),
        (__file__, 2, "is neither a directory nor a playlist (.m3u8)"),
        ("/no/such/tree", 4, "master.m3u8 cannot be read: no such file or directory"),
        (
            "HTTP://127.0.0.1:1/hls/",
            4,
            "http://127.0.0.1:1/hls/master.m3u8 cannot be fetched: no server answers",
        ),
        ("http://no-such-host.invalid/", 4, "no host has this name"),
    ],
)
async def test_invalid_locations_are_explained(gostream: Gostream, target: str, code: int, said: str) -> None:
    ran = await gostream("verify", target)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.parametrize("target", ["/no/such/tree", "http://127.0.0.1:1/hls/x/master.m3u8"])
async def test_unreadable_source_exits_4(gostream: Gostream, target: str) -> None:
    ran = await gostream("verify", target)
    assert (ran.code, ran.stdout) == (4, "")
    assert "the master playlist cannot be read" in ran.stderr


async def test_url_is_checked_as_served(gostream: Gostream, tree: Path) -> None:
    async def get(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(tree / request.path[1:])

    async with served(get) as url:
        ran = await gostream("verify", url, "--json")
    assert ran.code == 1
    assert set(broken(ran.stdout)) >= {"master.iframes", "whole.cors"}
    assert "master.uris-answer" not in broken(ran.stdout)


@asynccontextmanager
async def served(get: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """URL of a server that answers with `get`."""
    app = web.Application()
    app.router.add_get("/{name:.*}", get)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def test_verify_of_loopback_bypasses_the_proxy(store: Store, gostream: Gostream) -> None:
    nowhere = "http://127.0.0.1:1"  # no proxy listens there
    ran = await gostream("verify", store.url, http_proxy=nowhere, https_proxy=nowhere, all_proxy=nowhere)
    assert "master.m3u8 answers 405" in ran.stderr, ran
