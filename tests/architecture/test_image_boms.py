"""`make sbom`, and what the Dockerfiles say of their images."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("api", "worker")
LABELS = ("title", "description", "licenses", "version", "revision", "base.name")


@pytest.fixture(scope="module")
def boms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each image's document."""
    folder = tmp_path_factory.mktemp("boms")
    command = [sys.executable, "-m", "tools.sbom", "--out-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    return {name: (folder / f"gostream-{name}.cdx.json").read_text() for name in IMAGES}


def packages(bom: str) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in json.loads(bom)["components"]}


@pytest.mark.parametrize("name", IMAGES)
def test_document_matches_the_schema(boms: dict[str, str], name: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(boms[name]) is None
    assert json.loads(boms[name])["metadata"]["component"]["type"] == "container"


@pytest.mark.parametrize("name", IMAGES)
def test_document_lists_what_the_dockerfile_installs(boms: dict[str, str], name: str) -> None:
    dockerfile = (ROOT / f"services/{name}/Dockerfile").read_text()
    installed = {Path(found).name for found in re.findall(r"(?<=\s)\./(\S+)", dockerfile)}
    listed = packages(boms[name])

    assert {each for each in listed if each.startswith("gostream-")} == {
        f"gostream-{each}" for each in installed
    }
    lock = (ROOT / "requirements.lock").read_text()
    for each in listed.values():
        if not each["name"].startswith("gostream-"):
            assert f"{each['name']}=={each['version']}" in lock


def test_documents_leave_out_other_packages(boms: dict[str, str]) -> None:
    api, worker = packages(boms["api"]), packages(boms["worker"])

    assert {"grpcio", "asyncpg", "httptools"} <= api.keys()
    assert {"av", "imageio-ffmpeg"} <= worker.keys() - api.keys()
    assert not {"pytest", "ruff", "colorama"} & (api.keys() | worker.keys())


@pytest.mark.parametrize("name", IMAGES)
def test_image_has_the_labels_of_oci(name: str) -> None:
    dockerfile = (ROOT / f"services/{name}/Dockerfile").read_text()
    last = dockerfile[dockerfile.rindex("\nFROM ") :]

    found = dict(re.findall(r'org\.opencontainers\.image\.(\S+?)="([^"]+)"', last))

    assert tuple(found) == LABELS
    assert found["title"] == f"gostream-{name}"
    for argument in re.findall(r"\$\{(\w+)\}", "".join(found.values())):
        assert re.search(rf"^ARG {argument}\b", last, re.MULTILINE)
