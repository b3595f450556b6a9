"""The reference lists every RPC, reason, failure code, command and option of the code."""

import re

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from gostream.v1 import error_reason_pb2, video_service_pb2
from gostream_cli.app import app
from gostream_devstack.app import cli
from gostream_worker.failures import Code
from tests.support.repository import ROOT


def words(page: str) -> set[str]:
    return set(re.findall(r"[\w-]+", (ROOT / page).read_text()))


def test_every_rpc_is_documented() -> None:
    service = video_service_pb2.DESCRIPTOR.services_by_name["VideoService"]

    assert {method.name for method in service.methods} - words("docs/reference/api.md") == set()


def test_every_error_reason_is_documented() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name, _ in error_reason_pb2.ErrorReason.items()}

    assert reasons - {"UNSPECIFIED"} - words("docs/reference/api.md") == set()


def test_every_failure_code_is_documented() -> None:
    assert {*Code} - words("docs/explanation/encoding.md") == set()


@pytest.mark.parametrize("commands", [app, cli], ids=["gostream", "gostream-devstack"])
def test_every_option_is_documented(commands: typer.Typer) -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()
    group = typer.main.get_command(commands)
    assert isinstance(group, TyperGroup)

    missing = {
        f"{name} {option}"
        for name, command in group.commands.items()
        for parameter in command.params
        if isinstance(parameter, TyperOption)
        for option in [*parameter.opts, *parameter.secondary_opts]
        if option.startswith("--") and f"`{option}" not in text and f"/`{option}" not in text
    }

    assert {name for name in group.commands if f"`{name}" not in text} == set()
    assert missing == set()
