"""Imports at a start: a driver that only some commands or a later step need is not imported before."""

import subprocess
import sys

import pytest

S3 = {"aioboto3", "boto3", "botocore"}
CALLS = {"grpc", "google.protobuf", "aiohttp"}
HELP = "try: main()\nexcept SystemExit: pass"


def imported_by(program: str, *arguments: str) -> set[str]:
    """Returns the modules that a program has imported at its end."""
    shown = f"{program}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", shown, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("module", ["gostream_client.errors", "gostream_cli.app"])
def test_client_and_commands_import_no_driver_early(module: str) -> None:
    assert (CALLS | S3) & imported_by(f"import {module}") == set()


@pytest.mark.parametrize("command", ["", "upload", "verify", "ls"])
def test_help_imports_no_driver(command: str) -> None:
    imported = imported_by(f"from gostream_cli.__main__ import main\n{HELP}", *command.split(), "--help")

    assert (CALLS | S3) & imported == set()


@pytest.mark.parametrize("service", ["gostream_api.app", "gostream_worker.app"])
def test_services_import_the_store_later(service: str) -> None:
    assert S3 & imported_by(f"import {service}") == set()
