"""The script that starts the pods of components/valkey-sentinels, with programs that print what they get."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.kubernetes.rendering import FOLDER

Start = Callable[[str, str, dict[str, str]], str]
SCRIPT = FOLDER / "components/valkey-sentinels/start.sh"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A function that runs the script in a pod, next to pods that answer as `said` has it."""

    def run(role: str, pod: str, said: dict[str, str]) -> str:
        answers = "".join(
            f"  '{host} {port}') printf '{text}\\n' ;;\n" for (host, port), text in _by_place(said)
        )
        choice = f'case "$2 $port" in\n{answers}  *) exit 1 ;;\nesac\n'
        _program(tmp_path / "valkey-cli", f'port=6379\n[ "$3" = -p ] && port=$4\n{choice}')
        _program(tmp_path / "valkey-server", 'echo "$@"\n')
        found = subprocess.run(
            ["sh", str(SCRIPT), role],
            env={
                "PATH": f"{tmp_path}:{os.defpath}",
                "HOSTNAME": pod,
                "REDISCLI_AUTH": "0123456789abcdef",
                "SENTINEL_DIR": str(tmp_path),
            },
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return found.stdout

    return run


def _by_place(said: dict[str, str]) -> list[tuple[tuple[str, int], str]]:
    return [
        ((f"{place.removeprefix('sentinel of ')}.valkey", 26379 if "sentinel" in place else 6379), text)
        for place, text in said.items()
    ]


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def test_first_pod_of_all_is_the_primary(start: Start) -> None:
    assert "--replicaof" not in start("server", "valkey-0", {})


def test_other_pods_replicate_the_primary(start: Start) -> None:
    said = {"valkey-0": "role:master"}

    assert "--replicaof valkey-0.valkey 6379" in start("server", "valkey-1", said)


def test_word_of_sentinels_comes_first(start: Start) -> None:
    said = {"valkey-0": "role:master", "sentinel of valkey-1": "valkey-2.valkey"}

    assert "--replicaof valkey-2.valkey 6379" in start("server", "valkey-0", said)
    assert "--replicaof" not in start("server", "valkey-2", said)


def test_refusal_of_a_sentinel_names_no_primary(start: Start) -> None:
    said = {"valkey-1": "role:master", "sentinel of valkey-0": "NOAUTH Authentication required."}

    assert "--replicaof valkey-1.valkey 6379" in start("server", "valkey-0", said)


def test_sentinel_watches_the_primary_by_name(start: Start, tmp_path: Path) -> None:
    assert "--sentinel" in start("sentinel", "valkey-1", {"valkey-2": "role:master"})

    written = (tmp_path / "sentinel.conf").read_text()
    assert "sentinel monitor gostream valkey-2.valkey 6379 2\n" in written
    assert written.index("resolve-hostnames") < written.index("monitor")
    assert "sentinel announce-ip valkey-1.valkey\n" in written
