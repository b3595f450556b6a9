"""`gostream verify` as a process; what the rules find is tested with the library."""

import json
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from aiohttp import web

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
    """One silent rung of 4 s: conformant but for the I-frame playlist, which it lacks."""
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


async def test_a_broken_must_exits_1_and_names_rule_place_and_reason(gostream: Gostream, tree: Path) -> None:
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


async def test_decode_counts_pictures_and_finds_what_only_a_decoder_sees(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    ran = await gostream("verify", str(tree), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    rules = {rule["id"]: rule["passed"] for rule in json.loads(ran.stdout)["rules"]}
    assert (rules["whole.decodes"], rules["whole.frames"]) == (True, True)
    segment = tree / "180p/0.ts"
    good = segment.read_bytes()
    spoilt = bytearray(good)
    for packet in range(60, 200, 7):  # payload bytes in the middle of packets: no parser looks there
        spoilt[packet * 188 + 60 : packet * 188 + 90] = b"\x5a" * 30
    try:
        segment.write_bytes(spoilt)
        ran = await gostream("verify", str(tree), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    finally:
        segment.write_bytes(good)
    assert "whole.decodes" in broken(ran.stdout)


async def test_decode_does_not_follow_a_playlist_that_leaves_the_tree(
    gostream: Gostream, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "180p").mkdir()
    (tmp_path / "master.m3u8").write_text((tree / "master.m3u8").read_text())
    playlist = (tree / "180p/playlist.m3u8").read_text().replace("0.ts", "file:///etc/passwd")
    (tmp_path / "180p/playlist.m3u8").write_text(playlist)
    ran = await gostream("verify", str(tmp_path), "--json", "--decode", FFMPEG_PATH=FFMPEG)
    whys = [f["why"] for rule in json.loads(ran.stdout)["rules"] for f in rule["findings"]]
    assert "not tried: the playlists are broken" in whys
    assert not any("root:" in why for why in whys)


@pytest.mark.parametrize("target", ["/no/such/tree", "http://127.0.0.1:1/hls/x/master.m3u8"])
async def test_what_cannot_be_read_exits_4(gostream: Gostream, target: str) -> None:
    ran = await gostream("verify", target)
    assert (ran.code, ran.stdout) == (4, "")
    assert "the master playlist cannot be read" in ran.stderr


async def test_a_url_is_checked_as_it_is_served(gostream: Gostream, tree: Path) -> None:
    app = web.Application()
    app.router.add_static("/hls", tree)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        ran = await gostream("verify", f"http://{host}:{port}/hls/", "--json")
    finally:
        await runner.cleanup()
    assert ran.code == 1
    assert set(broken(ran.stdout)) >= {"master.iframes", "whole.cors"}
    assert "master.uris-answer" not in broken(ran.stdout)
