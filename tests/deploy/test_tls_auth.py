"""`gostream-devstack up --tls --auth`: one video from upload to playback, with the commands of users."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.instance.stack import OWN

pytestmark = [pytest.mark.stack, pytest.mark.slow]

NAMES = ("postgres", "redis", "s3", "nginx", "envoy", "api-1", "api-1 reads", "worker-1")
METRICS = ("api-1 metrics", "worker-1 metrics")
UNREACHABLE = 4  # the exit code for callers that are not authenticated


class Instance:
    """An instance below a directory, and its users."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environment = {name: value for name, value in os.environ.items() if name not in OWN}

    def devstack(self, name: str, *options: str) -> str:
        command = [sys.executable, "-m", "gostream_devstack", name, "--state-dir", str(self.root), *options]
        return self._run(command, self._environment)

    def gostream(self, *words: str, as_whom: str | None, code: int = 0) -> str:
        """Runs the command as a user, None = without a token, and returns its output."""
        shown = json.loads(self.devstack("env", "--json"))
        token = {"GOSTREAM_TOKEN": self.devstack("token", "--sub", as_whom).strip()} if as_whom else {}
        environment = self._environment | shown | token
        return self._run([sys.executable, "-m", "gostream_cli", *words], environment, code)

    def _run(self, command: list[str], environment: dict[str, str], code: int = 0) -> str:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr if code else done.stdout


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path / "state")
    made.root.mkdir()
    ports = Ports({})  # other programs on this machine may use the usual ones
    for name in (*NAMES, *METRICS):
        ports.pick(name)
    State(ports.remembered).save(made.root)
    made.devstack("up", "--tls", "--auth", "--detach")
    yield made
    made.devstack("down", "--wipe")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1"]
    encode = [get_ffmpeg_exe(), "-v", "error", *picture, "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(encode, check=True, timeout=120)
    return path


def test_video_plays_by_tls_with_a_token(instance: Instance, film: Path) -> None:
    upload = ("upload", "--json", "--policy", "signed", "--no-process", str(film))
    assert "TOKEN_INVALID" in instance.gostream(*upload, as_whom=None, code=UNREACHABLE)

    video = json.loads(instance.gostream(*upload, as_whom="alice"))
    states = instance.gostream("process", "--watch", "--json", video["id"], as_whom="alice").splitlines()
    playback = json.loads(instance.gostream("playback", "--json", video["id"], as_whom="alice"))
    url = playback["playback_url"]

    assert (video["user_id"], json.loads(states[-1])["status"]) == ("dev:alice", "STATUS_READY")
    assert url.startswith("https://")
    assert "0 musts" in instance.gostream("verify", "--decode", url, as_whom=None)
    for who, reason, code in (("bob", "VIDEO_NOT_FOUND", 1), (None, "TOKEN_INVALID", UNREACHABLE)):
        assert reason in instance.gostream("playback", video["id"], as_whom=who, code=code)
