"""The programs of docs/how-to/programs, on a running stack. The pages print exactly their text.

`make clients` installs what Node needs. Go and Chromium are used where they are installed; the packages of Go
come from Debian, into .tools.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from benchmarks.doors.build import DEBIAN, GOCODE, fetch_libraries
from gostream.v1.video_pb2 import Video
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.wheels import script
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.envoy import Envoy
from tests.e2e.conftest import Upload
from tests.e2e.test_documented_commands import GRPCURL
from tests.support.browser import CHROMIUM, dump
from tests.support.repository import ROOT

pytestmark = pytest.mark.stack

PROGRAMS = ROOT / "docs/how-to/programs"
NODE_MODULES = Path(os.environ.get("GOSTREAM_NODE_CLIENT", ROOT / ".tools/clients/node_modules"))
#: Seconds for a program, and for a build of it.
PATIENCE = 300
#: Functions that grpc-go got after the version in Debian.
LATER = Path(__file__).with_name("later_grpc_go")


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """Variables for a program: the addresses of the stack, and grpcurl on the path."""
    (tmp_path / "bin").mkdir()
    grpcurl = tmp_path / "bin/grpcurl"
    grpcurl.write_text(GRPCURL)
    grpcurl.chmod(0o755)
    path = os.pathsep.join([str(grpcurl.parent), str(script("buf").parent), os.environ["PATH"]])
    addresses = {
        "GOSTREAM_API_ADDR": stack.apis[0].address,
        "GOSTREAM_HTTP_URL": stack.env["GOSTREAM_HTTP_URL"],
    }
    return {**os.environ, **addresses, "PATH": path}


async def finish(
    *command: str | Path, env: Mapping[str, str], cwd: Path = ROOT
) -> tuple[int | None, str, str]:
    """Returns the exit code of a program, its output and its errors."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=cwd, stdout=pipe, stderr=pipe)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(), errors.decode()


async def run(*command: str | Path, env: Mapping[str, str], cwd: Path = ROOT) -> str:
    """Returns the output of a program that succeeds."""
    code, output, errors = await finish(*command, env=env, cwd=cwd)
    assert code == 0, output + errors
    return output


def check_output(output: str) -> None:
    """The states of a video until READY, and its URL at the end."""
    *states, last = output.strip().splitlines()
    assert states[-1].strip() == "STATUS_READY"
    assert re.search(r"http://\S+/hls/\S+/master\.m3u8", last)


async def test_stubs_in_python_upload(environment: dict[str, str], small_clip: Path) -> None:
    check_output(await run(sys.executable, PROGRAMS / "stubs.py", small_clip, env=environment))


async def test_failed_call_names_its_reason(environment: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()

    code, _, errors = await finish(sys.executable, PROGRAMS / "stubs.py", empty, env=environment)

    assert (code, errors.partition(":")[0]) == (1, "FIELD_INVALID")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("curl"), reason="needs curl and jq")
@pytest.mark.parametrize("name", ["grpc.sh", "json.sh"])
async def test_shell_uploads(environment: dict[str, str], small_clip: Path, name: str) -> None:
    check_output(await run("bash", PROGRAMS / name, small_clip, env=environment))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.skipif(not (NODE_MODULES / "@grpc/grpc-js").is_dir(), reason="needs @grpc/grpc-js: make clients")
async def test_node_uploads(environment: dict[str, str], small_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    program = shutil.copy(PROGRAMS / "client.mjs", tmp_path)

    check_output(await run("node", program, small_clip, env=environment))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="needs go")
async def test_go_uploads(environment: dict[str, str], small_clip: Path, tmp_path: Path) -> None:
    if not await asyncio.to_thread(fetch_libraries):
        pytest.skip("needs Debian's packages")
    program = await build_go(tmp_path)

    check_output(await run(program, small_clip, env=environment))


async def build_go(tmp_path: Path) -> Path:
    """Builds the program without Go's module proxy, from the sources of Debian's packages."""
    app = tmp_path / "go/src/example.com/app"
    app.mkdir(parents=True)
    for source in (PROGRAMS / "go/main.go", ROOT / "client/src/gostream_client/service_config.json"):
        shutil.copy(source, app)
    template = (PROGRAMS / "go/buf.gen.go.yaml").read_text().replace("out: gen", f"out: {app}/gen")
    plugins = os.pathsep.join([str(DEBIAN / "usr/bin"), os.environ["PATH"]])
    await run(script("buf"), "generate", "--template", template, env=os.environ | {"PATH": plugins})
    grpc = GOCODE / "src/google.golang.org/grpc"
    replaced = {str(grpc / file.relative_to(LATER)): str(file) for file in LATER.rglob("*.go")}
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replaced}))
    settings = {
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOPATH": os.pathsep.join([str(tmp_path / "go"), str(GOCODE)]),
        "GOCACHE": str(tmp_path / "cache"),
        "CGO_ENABLED": "0",
    }
    built = tmp_path / "program"
    await run("go", "build", "-overlay", overlay, "-o", built, env=os.environ | settings, cwd=app)
    return built


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[str]:
    """The origin of a web server with the programs for browsers."""
    app = web.Application()
    app.router.add_static("/", PROGRAMS)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def edge(stack: Stack, page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    """A JSON edge that the page may call."""
    home, ports = Directories.at(tmp_path_factory.mktemp("edge")), Ports({})
    allowed = type("Allowed", (Envoy,), {"environment": lambda _: {**os.environ, "EDGE_CORS_ORIGINS": page}})
    with ExitStack() as running:
        running.callback(home.remove)
        envoy: Envoy = allowed(home, ports.pick("edge"), ports.pick("admin"), stack.apis)
        running.callback(envoy.stop)
        envoy.start()
        envoy.wait_for_apis()
        yield envoy


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
async def test_page_follows_videos(
    edge: Envoy, page: str, upload: Upload, small_clip: Path, tmp_path: Path
) -> None:
    video = await upload(small_clip)
    url = f"{page}/watch.html?edge={edge.url}"

    shown = await asyncio.to_thread(dump, url, tmp_path / "home", "--virtual-time-budget=10000")

    assert f"<li>{video.title}: STATUS_READY 100 %</li>" in shown.html, shown


WATCH = """
import { call, watch } from "PROGRAM";
const [edge, id] = process.argv.slice(2);
for await (const video of watch(edge, id)) console.log(JSON.stringify(video));
await call(`${edge}/v1/videos/nothing`).catch((error) => console.log(JSON.stringify(error.reason)));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
async def test_watch_reads_lines_in_node(
    environment: dict[str, str], upload: Upload, small_clip: Path, tmp_path: Path
) -> None:
    video = await upload(small_clip)
    module = shutil.copy(PROGRAMS / "watch.js", tmp_path / "watch.mjs")
    program = tmp_path / "program.mjs"
    program.write_text(WATCH.replace("PROGRAM", str(module)))

    output = await run("node", program, environment["GOSTREAM_HTTP_URL"], video.id, env=environment)

    *states, reason = map(json.loads, output.splitlines())
    assert [(each["id"], each["status"]) for each in states] == [(video.id, "STATUS_READY")]
    assert Video.Status.Value(states[0]["status"]) == video.status
    assert reason == "FIELD_INVALID"
