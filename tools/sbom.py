"""Describes a release, and each image, as a CycloneDX 1.6 document.

The components are the members of the workspace and every package of requirements.lock, with their
dependencies. Scopes: `required` is a dependency of a member, `excluded` is a development tool, `optional` has
an environment marker that is false here and may hold on another platform or Python. Locked packages have no
hashes here, because each has one for each of its files: requirements.lock lists them.

`python -m tools.sbom` writes dist/gostream-api.cdx.json and dist/gostream-worker.cdx.json: the Python
packages of each image, without the packages of its base image.
"""

import argparse
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
#: The services that have an image.
IMAGES = ("api", "worker")
#: A pinned requirement begins a line of the lock; the lines of its hashes are indented.
PINNED = re.compile(r"^[A-Za-z0-9].*==[^\\]+", re.MULTILINE)


def locked(lock: Path) -> list[Requirement]:
    """Returns the pinned requirements of a lock file."""
    return [Requirement(line.strip()) for line in PINNED.findall(lock.read_text())]


def edges(name: str, extras: Iterable[str]) -> set[tuple[str, frozenset[str]]]:
    """Returns the requirements, each with its extras, of an installed distribution on this platform."""
    try:
        requirements = [Requirement(text) for text in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return set()
    return {
        (canonicalize_name(requirement.name), frozenset(requirement.extras))
        for requirement in requirements
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    }


def dependencies(roots: Iterable[str]) -> dict[str, set[str]]:
    """Returns the dependencies of the roots, direct and indirect, by name."""
    graph: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(root, frozenset[str]()) for root in roots]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            found = edges(*node)
            graph.setdefault(node[0], set()).update(name for name, _ in found)
            waiting += found
    return graph


def scope(requirement: Requirement, graph: Mapping[str, set[str]]) -> ComponentScope:
    if requirement.marker and not requirement.marker.evaluate():
        return ComponentScope.OPTIONAL
    used = canonicalize_name(requirement.name) in graph
    return ComponentScope.REQUIRED if used else ComponentScope.EXCLUDED


def package(name: str, version: str, scope: ComponentScope, hashes: Iterable[HashType] = ()) -> Component:
    url = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        purl=url,
        bom_ref=str(url),
        scope=scope,
        hashes=hashes,
        type=ComponentType.LIBRARY,
    )


def describe_wheel(wheel: Path) -> Component:
    name, version, *_ = parse_wheel_filename(wheel.name)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    return package(name, str(version), ComponentScope.REQUIRED, hashes)


def describe_pin(requirement: Requirement, graph: Mapping[str, set[str]]) -> Component:
    version = next(iter(requirement.specifier)).version
    return package(canonicalize_name(requirement.name), version, scope(requirement, graph))


def document(version: str, wheels: Iterable[Path], lock: Path) -> str:
    """Returns the JSON text for a release of these wheels."""
    members = [describe_wheel(wheel) for wheel in wheels]
    graph = dependencies(member.name for member in members)
    components = [*members, *(describe_pin(requirement, graph) for requirement in locked(lock))]
    release = Component(name="gostream", version=version, type=ComponentType.APPLICATION, bom_ref="gostream")
    bom = Bom(components=components)
    bom.metadata.component = release
    bom.register_dependency(release, members)
    for component in components:
        needed = graph.get(component.name, ())
        # A lock may pin two versions of a package, each for its own environment.
        bom.register_dependency(component, [other for other in components if other.name in needed])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def image_document(service: Path, lock: Path) -> str:
    """Returns the JSON text for the image of a service, such as services/api.

    The service must be installed, on the platform and with the minor version of Python that the image has.
    """
    project = tomllib.loads((service / "pyproject.toml").read_text())["project"]
    graph = dependencies([project["name"]])
    members = sorted(name for name in graph if name.startswith("gostream-"))
    pins = [pin for pin in locked(lock) if scope(pin, graph) is ComponentScope.REQUIRED]
    components = [
        *(package(name, metadata.version(name), ComponentScope.REQUIRED) for name in members),
        *(describe_pin(pin, graph) for pin in pins),
    ]
    image = Component(
        name=project["name"], version=project["version"], type=ComponentType.CONTAINER, bom_ref="image"
    )
    bom = Bom(components=components)
    bom.metadata.component = image
    bom.register_dependency(image, [each for each in components if each.name == project["name"]])
    for component in components:
        bom.register_dependency(
            component, [each for each in components if each.name in graph[component.name]]
        )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.sbom", description="Describes the images.")
    parser.add_argument("--out-dir", type=Path, default=ROOT / "dist", help="default: %(default)s")
    out = parser.parse_args().out_dir
    out.mkdir(parents=True, exist_ok=True)
    for name in IMAGES:
        file = out / f"gostream-{name}.cdx.json"
        file.write_text(image_document(ROOT / "services" / name, ROOT / "requirements.lock"))
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
