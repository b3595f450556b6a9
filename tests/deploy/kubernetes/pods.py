"""What the manifests say about pods, in a form that rules can read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.deploy.kubernetes.rendering import Object

_WORKLOADS = ("Deployment", "StatefulSet", "Job")
_UNITS = {"m": 0.001, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "": 1}


@dataclass(frozen=True)
class SecretKey:
    """The key of a Secret that a variable is read from."""

    secret: str
    key: str


@dataclass(frozen=True)
class Workload:
    """A workload and the template of its pods."""

    kind: str
    name: str
    labels: dict[str, str]
    body: Object
    pod: Object

    @property
    def containers(self) -> list[Object]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Returns the numbers of the ports by name."""
        return {
            port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])
        }


def workloads(objects: list[Object]) -> list[Workload]:
    """Returns every workload of the manifests."""
    return [
        Workload(
            each["kind"],
            each["metadata"]["name"],
            each["spec"]["template"]["metadata"]["labels"],
            each["spec"],
            each["spec"]["template"]["spec"],
        )
        for each in objects
        if each["kind"] in _WORKLOADS
    ]


def of_kind(objects: list[Object], kind: str) -> Iterator[tuple[str, Object]]:
    """Yields the name and the specification of each object of a kind."""
    for each in objects:
        if each["kind"] == kind:
            yield each["metadata"]["name"], each.get("spec", each)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Returns whether a label selector matches. Knows matchLabels and the operator In."""
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def environment(container: Object, objects: list[Object]) -> dict[str, str | SecretKey]:
    """Returns the variables of a container. Those of ConfigMaps that do not exist are absent."""
    found: dict[str, str | SecretKey] = {}
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    for source in container.get("envFrom", []):
        found |= maps.get(source.get("configMapRef", {}).get("name"), {})
    for variable in container.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif reference := variable["valueFrom"].get("secretKeyRef"):
            found[variable["name"]] = SecretKey(reference["name"], reference["key"])
    return found


def amount(quantity: str) -> float:
    """Returns a quantity of Kubernetes as a number of cores or bytes."""
    digits = quantity.rstrip("mKMGi")
    return float(digits) * _UNITS[quantity[len(digits) :]]
