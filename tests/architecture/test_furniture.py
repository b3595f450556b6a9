"""The files for GitHub, pre-commit and development containers agree with the repository."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gostream_devstack.host.wheels import script
from gostream_devstack.instance.stack import USUAL_PORTS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
SCHEMAS = [
    *(
        (schema, file)
        for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout")
        for file in WORKFLOWS
    ),
    *(("vendor.github-issue-forms", file) for file in FORMS),
]
PINNED_ACTION = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def output(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize(("schema", "file"), SCHEMAS, ids=lambda value: getattr(value, "name", value))
def test_github_files_match_their_schema(schema: str, file: Path) -> None:
    output(script("check-jsonschema"), "--builtin-schema", schema, file)


def test_every_form_is_checked() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yml"]
    assert [file.name for file in FORMS] == ["bug.yml", "feature.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    actions = re.findall(r"uses: (.+)$", workflow.read_text(), re.MULTILINE)

    assert actions
    assert [action for action in actions if not PINNED_ACTION.fullmatch(action)] == []


def test_workflow_runs_the_repository_script() -> None:
    workflow = load(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()

    assert workflow["permissions"] == {"contents": "read"}
    assert job["runs-on"] == "ubuntu-latest"
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert [
        step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")
    ] == ["3.11"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_hooks_are_the_commands_of_make_check() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    commands = [
        line for line in output("make", "--dry-run", "check").splitlines() if line.startswith(".venv/bin/")
    ]

    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    assert not any(hook["pass_filenames"] for hook in repository["hooks"])
    assert [hook["entry"] for hook in repository["hooks"]] == commands


def test_development_container_prepares_the_repository() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    assert re.fullmatch(r"python:3\.11\.\d+-\w+", container["image"])
    assert container["postCreateCommand"] == "make sync"
    assert set(container["forwardPorts"]) <= set(USUAL_PORTS.values())
    assert set(container["portsAttributes"]) == set(map(str, container["forwardPorts"]))


def test_owned_paths_exist() -> None:
    lines = [line.split() for line in (ROOT / ".github/CODEOWNERS").read_text().splitlines()]
    rules = [line for line in lines if line and not line[0].startswith("#")]
    tracked = output("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    paths = [rule[0] for rule in rules if rule[0] != "*"]

    assert rules[0][0] == "*"
    assert all(
        owners and all(re.fullmatch(r"@[\w-]+(/[\w-]+)?", owner) for owner in owners) for _, *owners in rules
    )
    assert [path for path in paths if not path.startswith("/")] == []
    assert [path for path in paths if not any(f"/{name}".startswith(path) for name in tracked)] == []
    assert all(path.endswith("/") == (ROOT / path.strip("/")).is_dir() for path in paths)
