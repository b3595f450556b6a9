"""Runs the documented commands that need a running stack."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gostream_devstack.host.wheels import script
from gostream_devstack.instance.stack import Stack
from tests.e2e.conftest import Upload

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = ("curl ", "grpcurl ", "buf curl ")
# grpcurl is a Go program; buf accepts the same request.
GRPCURL = """#!/bin/bash
data='{}'
while [[ $1 == -* ]]; do
    case $1 in
    -d) data=$2; shift 2 ;;
    -plaintext | -v) shift ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
    esac
done
exec buf curl --http2-prior-knowledge --protocol grpc -d "$data" "http://$1/$2"
"""


DOCUMENTS = (
    "README.md",
    "docs/tutorial/first-video.md",
    "docs/how-to/call-the-api.md",
    "docs/how-to/operate.md",
)


def _commands() -> list[str]:
    found = []
    for document in DOCUMENTS:
        for block in BLOCK.findall((ROOT / document).read_text()):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.split("  #")[0].strip() for line in lines if line.startswith(PROGRAMS)]
    return found


async def test_documented_commands_work(
    stack: Stack, upload: Upload, small_clip: Path, tmp_path: Path
) -> None:
    video = await upload(small_clip)
    for name, text in {
        "curl": f'#!/bin/bash\nexec {shutil.which("curl")} --fail "$@"\n',
        "grpcurl": GRPCURL,
    }.items():
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(script("buf").parent), os.defpath])
    environment = {**os.environ, **stack.env, "ID": video.id, "PATH": path}
    addresses = {
        "localhost:50051": stack.apis[0].address,
        "localhost:8080": stack.env["GOSTREAM_HTTP_URL"],
        "localhost:8081": stack.env["CDN_BASE_URL"],
        "/ID": f"/{video.id}",
    }
    commands = _commands()
    assert len(commands) >= 17
    failed = {}
    for command in commands:
        line = command
        for usual, here in addresses.items():
            line = line.replace(usual, here)
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-o", "pipefail", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0 or not done.stdout:
            failed[command] = done.stdout + done.stderr
    assert failed == {}
