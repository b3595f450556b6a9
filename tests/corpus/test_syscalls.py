"""System call traces: children that parse untrusted files open no socket and only their own files."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

import gostream_shared
import gostream_worker

from . import hostile, unusual
from .media import Kitchen, Recipe
from .strace import Trace, connected, opened, sockets

ROOT = Path(__file__).resolve().parents[2]
#: Paths that a program opens at its start.
_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/local/lib/", "/usr/share/", "/proc/", "/sys/")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/null", "/dev/urandom")
_DANGEROUS: tuple[Recipe, ...] = (
    hostile.playlist_of_a_file,
    hostile.playlist_of_a_neighbour,
    hostile.playlist_of_metadata,
    hostile.playlist_of_concat,
    hostile.playlist_behind_a_title,
    hostile.concat_list,
    hostile.session_description,
    hostile.dash_manifest,
    hostile.gab2_avi,
    hostile.external_reference_mov,
    hostile.png,
    hostile.subrip,
    hostile.ass_script,
)


def _can_trace() -> bool:
    program = shutil.which("strace")
    probe = [program or "", "-f", "-qq", "-o", "/dev/null", "true"]
    return program is not None and subprocess.run(probe, capture_output=True, timeout=60).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _can_trace(), reason="strace is not here or may not trace"),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("recipe", [*_DANGEROUS, unusual.plain], ids=lambda recipe: recipe.__name__)
def test_children_open_no_socket_or_foreign_file(recipe: Recipe, kitchen: Kitchen, tmp_path: Path) -> None:
    records, work = tmp_path / "records", tmp_path / "work"
    records.mkdir()
    command = [sys.executable, "-m", "tests.corpus.pipeline", str(kitchen(recipe)), "--folder", str(work)]

    trace = Trace.of(command, records, timeout=500, cwd=ROOT)

    jailed = trace.below("/launcher.py")
    paths = list(opened(jailed))
    assert any("input.bin" in path for path in paths), "the trace must contain the children"
    assert sockets(jailed) == []
    assert [path for path in paths if not _is_allowed(path, work)] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("recipe", [*_DANGEROUS, unusual.plain], ids=lambda recipe: recipe.__name__)
def test_streaming_children_connect_only_to_the_worker(
    recipe: Recipe, kitchen: Kitchen, tmp_path: Path
) -> None:
    records, work = tmp_path / "records", tmp_path / "work"
    records.mkdir()
    command = [sys.executable, "-m", "tests.corpus.pipeline", str(kitchen(recipe)), "--folder", str(work)]

    trace = Trace.of([*command, "--stream"], records, timeout=500, cwd=ROOT)

    jailed = trace.below("/launcher.py")
    [address] = connected(jailed)
    port = re.fullmatch(
        r'\{sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("127.0.0.1"\)\}', address
    )
    assert port, address
    assert [call for call in sockets(jailed) if call.startswith(("bind", "listen", "accept"))] == []
    assert [path for path in opened(jailed) if not _is_allowed(path, work)] == []


def test_trace_records_unconfined_file_access(kitchen: Kitchen, tmp_path: Path) -> None:
    """Control: without our options ffmpeg follows the playlist, and the trace shows it."""
    command = [get_ffmpeg_exe(), "-nostdin", "-allowed_segment_extensions", "ALL", "-extension_picky", "0"]
    command += ["-f", "hls", "-i", str(kitchen(hostile.playlist_of_a_file)), "-f", "null", "-"]

    trace = Trace.of(command, tmp_path, timeout=100)

    assert any(path.endswith(hostile.CANARY) for path in opened(trace.below("ffmpeg")))


def test_trace_records_refused_sockets(tmp_path: Path) -> None:
    """Calls that the children's seccomp filter refuses are recorded."""
    program = [sys.executable, "-I", "-S", "-c", "import socket; socket.socket()"]
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from gostream_worker.sandbox.confinement import Confinement, interpreter_paths\n"
        "from gostream_worker.sandbox.process import ChildLimits, limited_child\n"
        "async def main():\n"
        "    limits = ChildLimits(memory=1 << 30, cpu_seconds=30, file_bytes=1)\n"
        "    confinement = Confinement(read=interpreter_paths(), run=(sys.executable,))\n"
        f"    program = {program!r}\n"
        "    async with limited_child(program, limits, folder=Path('/'), confinement=confinement) as it:\n"
        "        await it.communicate()\n"
        "asyncio.run(main())\n"
    )

    trace = Trace.of([sys.executable, "-c", script], tmp_path, timeout=100)

    assert any(call.startswith("socket") for call in sockets(trace.below("/launcher.py")))


def test_trace_records_sockets(kitchen: Kitchen, tmp_path: Path) -> None:
    command = [get_ffmpeg_exe(), "-nostdin", "-protocol_whitelist", "file,udp,rtp"]
    command += ["-f", "sdp", "-t", "1", "-i", str(kitchen(hostile.session_description)), "-f", "null", "-"]

    trace = Trace.of(["timeout", "20", *command], tmp_path, timeout=100)

    assert sockets(trace.below("ffmpeg"))


def _is_allowed(path: str, work: Path) -> bool:
    if not path.startswith("/"):  # relative to the attempt's folder, the children's working directory
        return ".." not in path
    code = {ROOT.as_posix(), sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    code |= {str(Path(package.__file__ or "").parents[1]) for package in (gostream_shared, gostream_worker)}
    ours = tuple(f"{folder}/" for folder in {*code, str(work)})
    resolved = str(Path(path).resolve()) if ".." in path else path
    return resolved.startswith((*_SYSTEM, *ours)) or resolved in (*_SYSTEM_FILES, *code)
