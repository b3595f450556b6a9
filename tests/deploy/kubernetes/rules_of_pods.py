"""Rules of a single pod: each function returns one sentence for each place that breaks it."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from gostream_api.config import ApiConfig
from tests.deploy.kubernetes.pods import SecretKey, Workload, amount, environment, of_kind, workloads
from tests.deploy.kubernetes.rendering import Object

#: The Secrets that an operator creates, with their keys: docs/how-to/deploy-on-kubernetes.md.
SECRETS = {
    "database-app": {"uri"},
    "valkey": {"password"},
    "store-api": {"access-key", "secret-key"},
    "store-worker": {"access-key", "secret-key"},
    "edge": {"origin-secret", "refresh-secret"},
    "playback": {"playback.keys"},
    "edge-tls": {"tls.crt", "tls.key"},
    "store-admin": {"access-key", "secret-key"},
}
#: Services that answer gRPC's health.
_GRPC = {"api", "worker", "fetcher"}
_PINNED = re.compile(r"[\w./-]+:(v?\d+\.\d+\.\d+|4\.\d+)(-[a-z]+)*")
_SECRET = re.compile(r"(SECRET|PASSWORD|_KEY|KEYS|TOKEN|DATABASE_(DIRECT_)?URL|AUTH$)")
#: The size of a zone.
_NOT_SECRET = {"EDGE_CACHE_KEYS"}
#: Time after the drain to close connections.
_CLOSING = timedelta(seconds=5)
_PROBE = {"grpc", "tcpSocket", "httpGet", "exec", "periodSeconds", "timeoutSeconds", "failureThreshold"}
_CONTAINER = {
    "name",
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "ports",
    "readinessProbe",
    "livenessProbe",
}
_CONTAINER |= {"lifecycle", "resources", "securityContext", "volumeMounts"}
_POD = {
    "terminationGracePeriodSeconds",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "restartPolicy",
}
_POD |= {"securityContext", "containers", "volumes", "topologySpreadConstraints", "shareProcessNamespace"}


def unknown_fields(objects: list[Object]) -> Iterator[str]:
    """Fields that these manifests do not use elsewhere: misspelt fields, and fields that need a rule here."""
    for each in workloads(objects):
        if unknown := each.pod.keys() - _POD:
            yield f"{each.name}: unknown fields of a pod {sorted(unknown)}"
        for container in each.containers:
            if unknown := container.keys() - _CONTAINER:
                yield f"{each.name}: unknown fields of a container {sorted(unknown)}"
            for kind in ("readinessProbe", "livenessProbe"):
                if unknown := container.get(kind, {}).keys() - _PROBE:
                    yield f"{each.name}: unknown fields of a probe {sorted(unknown)}"


def probes(objects: list[Object]) -> Iterator[str]:
    for each in workloads(objects):
        for container in each.containers if each.kind != "Job" else []:
            for kind in ("readinessProbe", "livenessProbe"):
                if kind not in container:
                    yield f"{each.name}: no {kind}"
                else:
                    yield from _probe(each, kind, container[kind])


def _probe(each: Workload, kind: str, probe: Object) -> Iterator[str]:
    ports = [probe[how]["port"] for how in ("grpc", "tcpSocket", "httpGet") if how in probe]
    for port in ports:
        if port not in each.ports and port not in each.ports.values():
            yield f"{each.name}: the {kind} asks the port {port}, which is none of {each.ports}"
    if each.name not in _GRPC:
        return
    if kind == "readinessProbe" and "grpc" not in probe:
        yield f"{each.name}: the readinessProbe does not ask gRPC's health"
    if kind == "livenessProbe" and "grpc" in probe:
        yield f"{each.name}: the livenessProbe would end a service that drains"


def confinement(objects: list[Object]) -> Iterator[str]:
    for each in workloads(objects):
        pod, names = each.pod, f"{each.name}:"
        context = pod.get("securityContext", {})
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{names} has a token of a service account"
        if pod.get("enableServiceLinks") is not False:
            yield f"{names} gets variables such as VALKEY_PORT"
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{names} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{names} has no seccomp profile"
        if any(key in pod for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{names} shares a namespace of the node"
        if any("hostPath" in volume for volume in pod.get("volumes", [])):
            yield f"{names} mounts a folder of the node"
        for container in each.containers:
            own = container.get("securityContext", {})
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{names} can write to its root"
            if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
                yield f"{names} is privileged"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{names} has capabilities"


def resources(objects: list[Object]) -> Iterator[str]:
    for each in workloads(objects):
        for container in each.containers:
            given = container.get("resources", {})
            requests, limits = given.get("requests", {}), given.get("limits", {})
            if not {"cpu", "memory"} <= requests.keys():
                yield f"{each.name}: requests no processor or no memory"
            if "memory" not in limits:
                yield f"{each.name}: has no limit of memory"
            for resource in requests.keys() & limits.keys():
                if amount(requests[resource]) > amount(limits[resource]):
                    yield f"{each.name}: requests more {resource} than its limit"
            if not _PINNED.fullmatch(container["image"]):
                yield f"{each.name}: the image {container['image']} has no full version"
        for volume in each.pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{each.name}: the volume {volume['name']} has no limit"


def drains(objects: list[Object]) -> Iterator[str]:
    """The kubelet kills a pod after its grace, which includes preStop."""
    for each in workloads(objects):
        if each.kind == "Job":
            continue
        if "terminationGracePeriodSeconds" not in each.pod:
            yield f"{each.name}: has no terminationGracePeriodSeconds"
            continue
        for container in each.containers:
            hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            needed = timedelta(seconds=hook.get("seconds", 0)) + _CLOSING
            if each.name == "api":
                needed += _drain(environment(container, objects))
            grace = timedelta(seconds=each.pod["terminationGracePeriodSeconds"])
            if needed > grace:
                yield f"{each.name}: the drain takes {needed.seconds} s, its grace is {grace.seconds} s"


def _drain(given: Mapping[str, str | SecretKey]) -> timedelta:
    """Returns the longest time from SIGTERM to the end of the API: by default, or as the manifests say."""
    names = [name for name in ("shutdown_delay", "shutdown_grace") if name.upper() in given]
    config = ApiConfig.model_validate(
        {"database_url": "postgresql://a:b@c/d"} | {name: given[name.upper()] for name in names}
    )
    return config.shutdown_delay + config.shutdown_grace


def secrets(objects: list[Object]) -> Iterator[str]:
    for name, _ in of_kind(objects, "Secret"):
        yield f"{name}: a Secret among the manifests"
    for each in workloads(objects):
        for container in each.containers:
            for name, value in environment(container, objects).items():
                if isinstance(value, SecretKey) and value.key not in SECRETS.get(value.secret, ()):
                    yield f"{each.name}: no Secret {value.secret} with the key {value.key}"
                if isinstance(value, str) and _is_secret(name, value):
                    yield f"{each.name}: {name} is a secret in plain text"
        for volume in each.pod.get("volumes", []):
            if (given := volume.get("secret")) is None:
                continue
            keys = {item["key"] for item in given.get("items", [])}
            if given["secretName"] not in SECRETS or not keys <= SECRETS[given["secretName"]]:
                yield f"{each.name}: no Secret {given['secretName']} with the keys {sorted(keys)}"


def _is_secret(name: str, value: str) -> bool:
    is_path = not value or value.startswith("/")
    return bool(_SECRET.search(name)) and not is_path and name not in _NOT_SECRET
