"""Describes a release as a CycloneDX 1.6 document.

The components are the members of the workspace and every package of requirements.lock, with their
dependencies. Scopes: `required` is a dependency of a member, `excluded` is a development tool, `optional` has
an environment marker that is false here and may hold on another platform or Python. Locked packages have no
hashes here, because each has one for each of its files: requirements.lock lists them.
"""

import hashlib
import re
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
