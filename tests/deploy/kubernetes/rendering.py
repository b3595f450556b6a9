"""Renders deploy/kubernetes as `kubectl kustomize` does, without suffixes of names and without namespaces.

Only what the manifests use: a kustomization with another key raises ValueError. test_tools.py compares the
result with kustomize's.
"""

import base64
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[3] / "deploy/kubernetes"
OVERLAYS = ("dev", "prod")
Object = dict[str, Any]
_KEYS = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "configMapGenerator",
    "images",
    "patches",
}


def render(folder: Path) -> list[Object]:
    """Returns the objects of a kustomization."""
    return _add(folder, [])


def configuration(objects: list[Object], name: str) -> dict[str, str]:
    """Returns the texts of a ConfigMap. Raises StopIteration if there is none."""
    return dict(next(each["data"] for each in objects if _named(each) == ("ConfigMap", name)))


def _add(folder: Path, objects: list[Object]) -> list[Object]:
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := rules.keys() - _KEYS:
        raise ValueError(f"{folder}: this renderer does not know {unknown}")
    for name in rules.get("resources", []):
        path = folder / name
        objects += _add(path, []) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in rules.get("configMapGenerator", []):
        _generate(folder, generator, objects)
    for name in rules.get("components", []):
        _add(folder / name, objects)
    for image in rules.get("images", []):
        for each in objects:
            _rename_images(each, image)
    for patch in rules.get("patches", []):
        target = next(
            each for each in objects if _named(each) == (patch["target"]["kind"], patch["target"]["name"])
        )
        for step in yaml.safe_load(patch["patch"]):
            _apply(target, step)
    return objects


def _named(each: Object) -> tuple[str, str]:
    return each["kind"], each["metadata"]["name"]


def _generate(folder: Path, generator: Object, objects: list[Object]) -> None:
    if unknown := generator.keys() - {"name", "behavior", "files", "literals"}:
        raise ValueError(f"{folder}: this renderer does not know {unknown}")
    texts = dict(literal.split("=", 1) for literal in generator.get("literals", []))
    binaries = {}
    for name in generator.get("files", []):
        content = (folder / name).read_bytes()
        try:
            texts[Path(name).name] = content.decode()
        except UnicodeDecodeError:
            binaries[Path(name).name] = base64.b64encode(content).decode()
    if generator.get("behavior") == "merge":
        configuration(objects, generator["name"])  # it exists
        next(each for each in objects if _named(each) == ("ConfigMap", generator["name"]))["data"].update(
            texts
        )
        return
    made: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": generator["name"]},
        "data": texts,
    }
    objects.append(made | ({"binaryData": binaries} if binaries else {}))


def _rename_images(node: Any, image: Object) -> None:
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, dict | list):
            _rename_images(value, image)
    if isinstance(node, dict) and node.get("image") == image["name"]:
        node["image"] = f"{image['newName']}:{image['newTag']}"


def _apply(target: Object, step: Object) -> None:
    """Applies one operation of RFC 6902."""
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
    node: Any = target
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    match step["op"], node:
        case "add", list():
            node.insert(len(node) if last == "-" else int(last), step["value"])
        case "add", dict():
            node[last] = step["value"]
        case "replace", dict() if last in node:
            node[last] = step["value"]
        case "remove", dict():
            del node[last]
        case _:
            raise ValueError(f"this renderer does not know {step}")
