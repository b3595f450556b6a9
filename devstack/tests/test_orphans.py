"""Orphaned processes of a killed supervisor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gostream_devstack.host import orphans

# An unprivileged account starts and reaps a process that hides its directory.
HIDDEN = """
import ctypes, os, pwd, shutil, signal, sys, tempfile
from pathlib import Path
from gostream_devstack.host import orphans

if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
folder = Path(tempfile.mkdtemp(dir="/var/tmp")) / "worker-1"
folder.mkdir()
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.chdir(folder)
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    os.write(writing, b"x")
    signal.pause()
os.read(reading, 1)
try:
    os.readlink(f"/proc/{pid}/cwd")
    sys.exit("its directory is not hidden")
except PermissionError:
    pass
if sys.argv[1] == "recorded":
    orphans.record(folder, pid)
print(orphans.reap(folder), orphans.reap(folder.parent), flush=True)
os.kill(pid, signal.SIGKILL)
shutil.rmtree(folder.parent)
"""


def reap_hidden(recorded: str) -> str:
    command = [sys.executable, "-c", HIDDEN, recorded]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_process_that_hides_its_directory_is_reaped() -> None:
    assert reap_hidden("recorded") == "1 0\n"


def test_hidden_process_without_a_record_stays() -> None:
    assert reap_hidden("not recorded") == "0 0\n"


def test_servers_are_found_from_the_parent_folder(tmp_path: Path) -> None:
    (tmp_path / "api-1").mkdir()
    child = subprocess.Popen(["sleep", "60"], cwd="/")
    try:
        orphans.record(tmp_path / "api-1", child.pid)
        assert [each.pid for each in orphans.find(tmp_path)] == [child.pid]
        assert orphans.find(tmp_path / "api-2") == []
    finally:
        child.kill()
        child.wait()


def test_record_of_an_earlier_process_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "api-1.process").write_text(f"{os.getppid()} 1")
    assert orphans.find(tmp_path / "api-1") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_record_of_another_owner_is_ignored(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"], cwd="/")
    try:
        orphans.record(tmp_path / "api-1", child.pid)
        os.chown(tmp_path / "api-1.process", 65534, 65534)
        assert orphans.reap(tmp_path / "api-1") == 0
    finally:
        child.kill()
        child.wait()
