"""Rules about the names by which objects refer to each other: one sentence for each that is wrong."""

import math
import re
from collections.abc import Iterator

from tests.deploy.kubernetes.pods import Workload, of_kind, selects, workloads
from tests.deploy.kubernetes.rendering import Object

#: Workloads that callers and viewers wait for.
_ANSWERING = {"api", "edge", "envoy", "shield"}
#: Bytes that the API server of Kubernetes accepts.
_LARGEST_MAP = 1 << 20


def _scaled(objects: list[Object]) -> dict[str, int]:
    """Returns the smallest number of pods by the workload that something scales."""
    found = {
        spec["scaleTargetRef"]["name"]: spec["minReplicas"]
        for _, spec in of_kind(objects, "HorizontalPodAutoscaler")
    }
    for _, spec in of_kind(objects, "ScaledObject"):
        found[spec["scaleTargetRef"]["name"]] = spec["minReplicaCount"]
    return found


def selectors(objects: list[Object]) -> Iterator[str]:
    all_workloads = workloads(objects)
    services = dict(of_kind(objects, "Service"))
    for each in all_workloads:
        if each.kind != "Job" and not selects(each.body["selector"], each.labels):
            yield f"{each.name}: its selector does not match its own pods"
        if each.kind == "StatefulSet" and each.body["serviceName"] not in services:
            yield f"{each.name}: no Service {each.body['serviceName']}"
        for spread in each.pod.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"], each.labels):
                yield f"{each.name}: spreads the pods of another workload"
    for name, spec in services.items():
        chosen = [each for each in all_workloads if selects({"matchLabels": spec["selector"]}, each.labels)]
        if not chosen:
            yield f"Service {name}: selects no pod"
        for each in chosen:
            for port in spec["ports"]:
                if port["targetPort"] not in each.ports:
                    yield f"Service {name}: {each.name} has no port {port['targetPort']}"


def disruptions(objects: list[Object]) -> Iterator[str]:
    """A budget that allows no disruption blocks every drain of a node."""
    smallest = _scaled(objects)
    for name, spec in of_kind(objects, "PodDisruptionBudget"):
        chosen = [each for each in workloads(objects) if selects(spec["selector"], each.labels)]
        if len(chosen) != 1:
            yield f"PodDisruptionBudget {name}: selects {len(chosen)} workloads"
        for each in chosen:
            pods = smallest.get(each.name) or int(each.body.get("replicas", 1))
            if _blocks(spec, pods):
                yield f"PodDisruptionBudget {name}: blocks if there are {pods} pods"


def _blocks(spec: Object, pods: int) -> bool:
    if "maxUnavailable" in spec:
        return not _count(spec["maxUnavailable"], pods)
    return _count(spec["minAvailable"], pods) >= pods


def _count(value: int | str, pods: int) -> int:
    return math.ceil(int(value.rstrip("%")) * pods / 100) if isinstance(value, str) else value


def steadiness(objects: list[Object]) -> Iterator[str]:
    """What answers callers survives the drain of a node, and the loss of a zone."""
    budgets = [spec["selector"] for _, spec in of_kind(objects, "PodDisruptionBudget")]
    for each in workloads(objects):
        if each.name not in _ANSWERING:
            continue
        if not any(selects(budget, each.labels) for budget in budgets):
            yield f"{each.name}: has no PodDisruptionBudget"
        if not each.pod.get("topologySpreadConstraints"):
            yield f"{each.name}: may have all pods in one zone"


def scaling(objects: list[Object]) -> Iterator[str]:
    by_name = {each.name: each for each in workloads(objects)}
    for name in _scaled(objects):
        if name not in by_name:
            yield f"nothing to scale is called {name}"
        elif "replicas" in by_name[name].body:
            yield f"{name}: replicas would be set back at each apply"


def configuration(objects: list[Object]) -> Iterator[str]:
    keys = {
        each["metadata"]["name"]: {*each["data"], *each.get("binaryData", {})}
        for each in objects
        if each["kind"] == "ConfigMap"
    }
    for each in workloads(objects):
        yield from _configuration_of(each, keys)
        volumes = {volume["name"] for volume in each.pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in each.body.get("volumeClaimTemplates", [])}
        mounted = {
            mount["name"] for container in each.containers for mount in container.get("volumeMounts", [])
        }
        if mounted != volumes:
            yield f"{each.name}: mounts {sorted(mounted)}, has {sorted(volumes)}"
    used = str([each.pod for each in workloads(objects)])
    for found in objects:
        size = sum(map(len, [*found.get("data", {}).values(), *found.get("binaryData", {}).values()]))
        if found["kind"] == "ConfigMap" and size > _LARGEST_MAP:
            yield f"ConfigMap {found['metadata']['name']}: has {size} bytes"
    for name in keys:
        if f"'name': '{name}'" not in used:
            yield f"ConfigMap {name}: is not used"


def _configuration_of(each: Workload, keys: dict[str, set[str]]) -> Iterator[str]:
    references: list[Object] = []
    for container in each.containers:
        references += [source["configMapRef"] for source in container.get("envFrom", [])]
        for variable in container.get("env", []):
            if reference := variable.get("valueFrom", {}).get("configMapKeyRef"):
                references.append(reference)
    for volume in each.pod.get("volumes", []):
        references += [volume["configMap"]] if "configMap" in volume else []
        references += [source["configMap"] for source in volume.get("projected", {}).get("sources", [])]
    for reference in references:
        wanted = {item["key"] for item in reference.get("items", [])}
        wanted |= {reference["key"]} if "key" in reference else set()
        if not wanted <= keys.get(reference["name"], set()) or reference["name"] not in keys:
            yield f"{each.name}: no ConfigMap {reference['name']} with the keys {sorted(wanted)}"


def shields(objects: list[Object]) -> Iterator[str]:
    """Edges know the shields one by one: each of them, and no other."""
    by_name = {each.name: each for each in workloads(objects)}
    if "shield" not in by_name:
        return
    given = dict(
        next(each["data"] for each in objects if each["metadata"]["name"] == "edge" and "data" in each)
    )
    used = set(re.findall(r"shield-\d+(?=\.shield\.)", given["EDGE_ORIGIN"] + given["EDGE_ORIGIN_OPTIONS"]))
    pods = {f"shield-{number}" for number in range(by_name["shield"].body["replicas"])}
    for name in sorted(used - pods):
        yield f"edge: no shield is called {name}"
    for name in sorted(pods - used):
        yield f"edge: does not use {name}"


def extensions(objects: list[Object]) -> Iterator[str]:
    """Kinds that a cluster has only with an operator."""
    services = dict(of_kind(objects, "Service"))
    ports = {name: {each["port"] for each in spec["ports"]} for name, spec in services.items()}
    labels = {
        each["metadata"]["name"]: each["metadata"].get("labels", {})
        for each in objects
        if each["kind"] == "Service"
    }
    gateways = dict(of_kind(objects, "Gateway"))
    for name, spec in of_kind(objects, "HTTPRoute"):
        for parent in spec["parentRefs"]:
            hosts = [each["hostname"] for each in gateways.get(parent["name"], {}).get("listeners", [])]
            if not set(spec["hostnames"]) <= set(hosts):
                yield f"HTTPRoute {name}: no listener of {parent['name']} has {spec['hostnames']}"
        for rule in spec["rules"]:
            for backend in rule["backendRefs"]:
                if backend["port"] not in ports.get(backend["name"], ()):
                    yield f"HTTPRoute {name}: no Service {backend['name']} with the port {backend['port']}"
    for name, spec in of_kind(objects, "ServiceMonitor"):
        chosen = [each for each in services if selects(spec["selector"], labels[each])]
        named = {port["name"] for each in chosen for port in services[each]["ports"]}
        if not {endpoint["port"] for endpoint in spec["endpoints"]} <= named:
            yield f"ServiceMonitor {name}: no Service has its port"
    authentications = dict(of_kind(objects, "TriggerAuthentication"))
    for name, spec in of_kind(objects, "ScaledObject"):
        for trigger in spec["triggers"]:
            if trigger["authenticationRef"]["name"] not in authentications:
                yield f"ScaledObject {name}: no TriggerAuthentication {trigger['authenticationRef']['name']}"
