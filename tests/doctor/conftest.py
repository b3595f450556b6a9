"""The doctor command against the running stack."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cli.tests.conftest import Gostream, Ran
from cli.tests.conftest import gostream as gostream
from gostream_devstack.instance.stack import Stack
from tests.e2e.conftest import client as client
from tests.e2e.conftest import small_clip as small_clip
from tests.e2e.conftest import submit as submit
from tests.e2e.conftest import upload as upload


@dataclass(frozen=True)
class Report:
    """The exit code and the JSON of one run."""

    code: int
    document: Any

    @property
    def variables(self) -> set[str]:
        """The variables that failed checks name."""
        return {each["variable"] for each in self.document["checks"] if each["is_good"] is False}


def report_of(ran: Ran) -> Report:
    """The JSON of a run: on stderr if it could not be made."""
    text = ran.stdout or ran.stderr
    assert text, ran
    return Report(ran.code, json.loads(text))


Doctor = Callable[..., Awaitable[Report]]


def first_of(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a client of the first replica."""
    addresses = ("GOSTREAM_API_ADDR", "GOSTREAM_READ_ADDR", "GOSTREAM_ADMIN_ADDR")
    first = {name: env[name].split(",")[0] for name in addresses}
    return {**first, "GOSTREAM_HTTP_URL": env["GOSTREAM_HTTP_URL"]}


@pytest.fixture
def doctor(gostream: Gostream, stack: Stack) -> Doctor:
    """Runs the command; keywords replace variables."""

    async def run(*arguments: str, **changes: str) -> Report:
        options = ("--json", "--timeout", "60")
        return report_of(await gostream("doctor", *options, *arguments, **(first_of(stack.env) | changes)))

    return run
