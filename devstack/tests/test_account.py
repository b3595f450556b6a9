"""The account of GoStream's services if root starts the stack."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.host import interpreter
from gostream_devstack.host.directories import REPOSITORY, Account, Directories
from gostream_devstack.host.interpreter import account_of_services, closed_above, obstacle

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run services under another account")
NOBODY = Account(65534, 65534)
SETTINGS = (
    "PYTHONDONTWRITEBYTECODE",  # otherwise every start compiles all modules
    "DATABASE_URL",
    "REDIS_HOST",
    "S3_ENDPOINT_URL",
    "GOSTREAM_API_COMMAND",
    "GOSTREAM_WORKER_COMMAND",
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder open to other accounts; pytest's folders are closed."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_python(open_folder: Path) -> Path:
    """A virtual environment with the current packages and an interpreter open to other accounts."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path(sysconfig.get_path("purelib"))
    for place in (REPOSITORY, packages):
        if closed := closed_above(place):
            pytest.skip(f"{closed} is closed to others and holds {place}")
    base = Path(sys.base_prefix)
    if closed_above((base / "bin" / version).resolve()):
        base = copied_interpreter(base, open_folder / "base", version)
    venv = open_folder / "venv"
    (venv / "lib" / version).mkdir(parents=True)
    (venv / "lib" / version / "site-packages").symlink_to(packages)
    (venv / "bin").mkdir()
    for script in Path(sys.executable).parent.iterdir():
        if not script.name.startswith("python"):
            (venv / "bin" / script.name).symlink_to(script)
    (venv / "bin/python").symlink_to(base / "bin" / version)
    (venv / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    return venv / "bin/python"


def copied_interpreter(base: Path, copy: Path, version: str) -> Path:
    """Copies the interpreter and its library, and points its library path to the copy."""
    unused = shutil.ignore_patterns(
        "test", "tests", "site-packages", "idlelib", "ensurepip", "config-*", "*.a"
    )
    shutil.copytree(base / "lib" / version, copy / "lib" / version, ignore=unused)
    for shared in (base / "lib").glob("libpython*.so.*"):
        shutil.copy(shared, copy / "lib")
    (copy / "bin").mkdir()
    place, here = str(base / "lib").encode(), b"$ORIGIN/../lib"
    program = (base / "bin" / version).read_bytes().replace(place + b"\0", here.ljust(len(place) + 1, b"\0"))
    (copy / "bin" / version).write_bytes(program)
    (copy / "bin" / version).chmod(0o755)
    return copy


def uids(process: psutil.Process) -> set[int]:
    return set(process.uids())


def watch_encoder(worker: psutil.Process, seen: list[set[int]], ended: threading.Event) -> None:
    while not ended.is_set():
        for child in worker.children(recursive=True):
            try:
                if child.name().startswith("ffmpeg"):
                    seen.append(uids(child))
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.02)


@pytest.mark.stack
@pytest.mark.timeout(600)  # a complete stack with an interpreter that first compiles every module
@pytest.mark.slow
def test_api_worker_and_ffmpeg_drop_root(open_python: Path, open_folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}

    def run(*command: str) -> str:
        words = [str(open_python), "-m", *command]
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    state = ("--state-dir", str(open_folder / "state"))
    film = open_folder / "film.mp4"
    made = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=6", "-c:v", "mpeg4", "-q:v", "5")
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *made, film], check=True)
    try:
        said = run("gostream_devstack", "up", "--detach", *state)
        assert "run as root" not in said
        status = json.loads(run("gostream_devstack", "status", "--json", *state))
        pids = {each["name"]: each["pid"] for each in status["processes"]}
        for name in ("api-1", "worker-1", "envoy", "postgres"):
            assert 0 not in uids(psutil.Process(pids[name])), name
        server = json.loads(run("gostream_devstack", "env", "--json", *state))["GOSTREAM_API_ADDR"]
        seen: list[set[int]] = []
        ended = threading.Event()
        watcher = threading.Thread(target=watch_encoder, args=(psutil.Process(pids["worker-1"]), seen, ended))
        watcher.start()
        try:
            run("gostream_cli", "upload", str(film), "--watch", "--server", server)
        finally:
            ended.set()
            watcher.join()
        assert seen, "no encoder was seen"
        assert all(0 not in each for each in seen)
    finally:
        run("gostream_devstack", "down", "--wipe", *state)


def test_services_stay_root_below_a_closed_folder(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy(sys.executable, closed / "python")
    monkeypatch.setattr(sys, "executable", str(closed / "python"))
    obstacle.cache_clear()
    home = Directories.at(tmp_path / "state")
    try:
        assert account_of_services(home) is None
        assert obstacle(NOBODY) == f"{closed} is closed to others and holds {closed / 'python'}"
    finally:
        obstacle.cache_clear()
        home.remove()


def test_module_that_cannot_be_imported_is_named(
    open_python: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(open_python, monkeypatch)
    (open_folder / "closed_module.py").touch(mode=0o600)
    monkeypatch.setenv("PYTHONPATH", str(open_folder))
    monkeypatch.setattr(interpreter, "SERVICES", ("closed_module",))
    assert "PermissionError" in str(obstacle(NOBODY))


def test_sources_are_compiled_for_the_account(
    open_python: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(open_python, monkeypatch)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (open_folder / "venv/open_module.py").write_text("VALUE = 1\n")
    (open_folder / "venv/__pycache__").mkdir(mode=0o700)
    monkeypatch.setenv("PYTHONPATH", str(open_folder / "venv"))
    monkeypatch.setattr(interpreter, "SERVICES", ("open_module",))
    assert obstacle(NOBODY) is None
    compiled = next((open_folder / "venv/__pycache__").iterdir())
    assert compiled.stat().st_mode & 0o777 == 0o644
    assert closed_above(compiled.parent) is None


def use(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the trial run this interpreter."""
    venv = python.parent.parent
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    obstacle.cache_clear()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[Callable[[], None]]:
    yield obstacle.cache_clear
    obstacle.cache_clear()
