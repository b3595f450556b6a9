"""docs/reference/configuration.md lists every variable as the services know it."""

from pathlib import Path

import pytest

from gostream_api.config import ApiConfig
from gostream_audit.app import AuditConfig
from gostream_shared.config import Config, rows
from gostream_shared.config_names import KNOWN
from gostream_worker.config import WorkerConfig

KINDS = (Config, ApiConfig, AuditConfig, WorkerConfig)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reference/configuration.md"


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_lists_every_variable_with_its_default(kind: type[Config]) -> None:
    text = DOCUMENT.read_text()

    missing = [
        line
        for name, default, meaning in rows(kind)
        if (line := f"| `{name}` | {default} | {meaning} |") not in text
    ]

    assert not missing, "add to docs/reference/configuration.md:\n" + "\n".join(missing)


def test_every_variable_is_known_to_all_services() -> None:
    """A service warns of names that it does not know, and shares its environment with the others."""
    assert {name for kind in KINDS for name, _, _ in rows(kind)} == KNOWN


def test_the_document_lists_no_variable_that_nobody_reads() -> None:
    known = {name for kind in KINDS for name, _, _ in rows(kind)}
    listed = {line.split("`")[1] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}

    assert listed == known
