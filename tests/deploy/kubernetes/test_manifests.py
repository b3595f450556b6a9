"""Rules of the manifests, checked without a cluster, and defects that the rules find."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gostream_worker.config import WorkerConfig
from tests.deploy.compose_file import SERVICES
from tests.deploy.kubernetes import rules_of_links, rules_of_pods
from tests.deploy.kubernetes.pods import amount, environment, workloads
from tests.deploy.kubernetes.rendering import FOLDER, OVERLAYS, Object, configuration, render
from tests.deploy.kubernetes.rules_of_networks import networks
from tests.deploy.kubernetes.rules_of_variables import variables

RULES = (
    rules_of_pods.unknown_fields,
    rules_of_pods.probes,
    rules_of_pods.confinement,
    rules_of_pods.resources,
    rules_of_pods.drains,
    rules_of_pods.secrets,
    rules_of_links.selectors,
    rules_of_links.disruptions,
    rules_of_links.steadiness,
    rules_of_links.scaling,
    rules_of_links.configuration,
    rules_of_links.extensions,
    rules_of_links.shields,
    networks,
    variables,
)
RENDERED = {overlay: render(FOLDER / "overlays" / overlay) for overlay in OVERLAYS}


def mistakes(objects: list[Object]) -> list[str]:
    return [sentence for rule in RULES for sentence in rule(objects)]


def find(objects: list[Object], kind: str, name: str) -> Any:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def pod(objects: list[Object], name: str) -> Any:
    return next(each.pod for each in workloads(objects) if each.name == name)


def container(objects: list[Object], name: str) -> Any:
    return pod(objects, name)["containers"][0]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_break_no_rule(overlay: str) -> None:
    assert mistakes(RENDERED[overlay]) == []


def _missing_probe(objects: list[Object]) -> None:
    del container(objects, "worker")["readinessProbe"]


def _probe_of_no_port(objects: list[Object]) -> None:
    container(objects, "api")["readinessProbe"]["grpc"]["port"] = 50053


def _misspelt_probe(objects: list[Object]) -> None:
    probe = container(objects, "api")["readinessProbe"]
    probe["gprc"] = probe.pop("grpc")


def _liveness_by_health(objects: list[Object]) -> None:
    container(objects, "api")["livenessProbe"] = container(objects, "api")["readinessProbe"]


def _wrong_port_name(objects: list[Object]) -> None:
    find(objects, "Service", "api")["spec"]["ports"][0]["targetPort"] = "gprc"


def _selector_of_nothing(objects: list[Object]) -> None:
    find(objects, "Service", "edge")["spec"]["selector"] = {"app.kubernetes.io/name": "edges"}


def _selector_of_others(objects: list[Object]) -> None:
    find(objects, "Deployment", "api")["spec"]["selector"]["matchLabels"] = {
        "app.kubernetes.io/name": "worker"
    }


def _writable_root(objects: list[Object]) -> None:
    container(objects, "worker")["securityContext"]["readOnlyRootFilesystem"] = False


def _privileged(objects: list[Object]) -> None:
    container(objects, "envoy")["securityContext"]["privileged"] = True


def _root(objects: list[Object]) -> None:
    pod(objects, "migrate")["securityContext"]["runAsUser"] = 0


def _token(objects: list[Object]) -> None:
    del pod(objects, "fetcher")["automountServiceAccountToken"]


def _missing_limit(objects: list[Object]) -> None:
    del container(objects, "edge")["resources"]["limits"]


def _unknown_variable(objects: list[Object]) -> None:
    configuration_of(objects, "services")["REDIS_PASWORD_FILE"] = "/x"


def _refused_value(objects: list[Object]) -> None:
    configuration_of(objects, "worker")["WORKER_SLOTS"] = "many"


def _missing_variable(objects: list[Object]) -> None:
    del configuration_of(objects, "edge")["EDGE_CACHE_KEYS"]


def _missing_variable_of_shields(objects: list[Object]) -> None:
    del configuration_of(objects, "shield")["EDGE_CACHE_KEYS"]


def _unknown_shield(objects: list[Object]) -> None:
    configuration_of(objects, "edge")["EDGE_ORIGIN_OPTIONS"] += (
        "; server shield-3.shield.gostream.svc.cluster.local:8082"
    )


def _forgotten_shield(objects: list[Object]) -> None:
    configuration_of(objects, "edge")["EDGE_ORIGIN_OPTIONS"] = (
        "resolve; server shield-1.shield.gostream.svc.cluster.local:8082 resolve"
    )


def configuration_of(objects: list[Object], name: str) -> dict[str, str]:
    texts: dict[str, str] = find(objects, "ConfigMap", name)["data"]
    return texts


def _wrong_map(objects: list[Object]) -> None:
    container(objects, "api")["envFrom"][1]["configMapRef"]["name"] = "apis"


def _wrong_map_key(objects: list[Object]) -> None:
    volume = next(each for each in pod(objects, "edge")["volumes"] if each["name"] == "template")
    volume["configMap"]["items"] = [{"key": "nginx.conf", "path": "nginx.conf.template"}]


def _wrong_secret_key(objects: list[Object]) -> None:
    container(objects, "api")["env"][0]["valueFrom"]["secretKeyRef"]["key"] = "url"


def _long_drain(objects: list[Object]) -> None:
    configuration_of(objects, "api")["SHUTDOWN_GRACE"] = "60s"


def _long_pre_stop(objects: list[Object]) -> None:
    container(objects, "edge")["lifecycle"]["preStop"]["sleep"]["seconds"] = 60


def _blocking_budget(objects: list[Object]) -> None:
    find(objects, "PodDisruptionBudget", "envoy")["spec"] = {
        "minAvailable": "100%",
        "selector": {"matchLabels": {"app.kubernetes.io/name": "envoy"}},
    }


def _missing_budget(objects: list[Object]) -> None:
    objects.remove(find(objects, "PodDisruptionBudget", "api"))


def _one_zone(objects: list[Object]) -> None:
    del pod(objects, "edge")["topologySpreadConstraints"]


def _large_map(objects: list[Object]) -> None:
    configuration_of(objects, "envoy-documents")["openapi.json"] = "x" * (1 << 20)


def _replicas_of_scaled(objects: list[Object]) -> None:
    find(objects, "Deployment", "api")["spec"]["replicas"] = 3


def _missing_policy(objects: list[Object]) -> None:
    objects.remove(find(objects, "NetworkPolicy", "deny-egress"))


def _closed_way(objects: list[Object]) -> None:
    objects.remove(find(objects, "NetworkPolicy", "to-valkey"))


def _open_way(objects: list[Object]) -> None:
    find(objects, "NetworkPolicy", "worker")["spec"]["egress"].append({"to": [{"podSelector": {}}]})
    del find(objects, "NetworkPolicy", "api")["spec"]["ingress"][0]["from"]


def _internet_for_the_worker(objects: list[Object]) -> None:
    find(objects, "NetworkPolicy", "fetcher")["spec"]["podSelector"] = {
        "matchExpressions": [
            {"key": "app.kubernetes.io/name", "operator": "In", "values": ["fetcher", "worker"]}
        ]
    }


def _metadata_service(objects: list[Object]) -> None:
    block = find(objects, "NetworkPolicy", "fetcher")["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["except"].remove("169.254.0.0/16")


def _plain_secret(objects: list[Object]) -> None:
    container(objects, "worker")["env"].append({"name": "REDIS_PASSWORD", "value": "f6c6cbb6a4e94ff1"})


def _secret_in_map(objects: list[Object]) -> None:
    configuration_of(objects, "envoy")["CLIENT_SECRET"] = "f6c6cbb6a4e94ff1"


DEFECTS: tuple[tuple[Callable[[list[Object]], None], str], ...] = (
    (_missing_probe, "worker: no readinessProbe"),
    (_probe_of_no_port, "api: the readinessProbe asks the port 50053"),
    (_misspelt_probe, "api: unknown fields of a probe ['gprc']"),
    (_liveness_by_health, "api: the livenessProbe would end a service that drains"),
    (_wrong_port_name, "Service api: api has no port gprc"),
    (_selector_of_nothing, "Service edge: selects no pod"),
    (_selector_of_others, "api: its selector does not match its own pods"),
    (_writable_root, "worker: can write to its root"),
    (_privileged, "envoy: is privileged"),
    (_root, "migrate: may run as root"),
    (_token, "fetcher: has a token of a service account"),
    (_missing_limit, "edge: has no limit of memory"),
    (_unknown_variable, "worker: does not read REDIS_PASWORD_FILE"),
    (_refused_value, "worker: WORKER_SLOTS"),
    (_missing_variable, "edge: EDGE_CACHE_KEYS is not set"),
    (_missing_variable_of_shields, "shield: EDGE_CACHE_KEYS is not set"),
    (_unknown_shield, "edge: no shield is called shield-3"),
    (_forgotten_shield, "edge: does not use shield-2"),
    (_wrong_map, "api: no ConfigMap apis"),
    (_wrong_map_key, "edge: no ConfigMap edge-template with the keys ['nginx.conf']"),
    (_wrong_secret_key, "api: no Secret database-app with the key url"),
    (_long_drain, "api: the drain takes 70 s, its grace is 40 s"),
    (_long_pre_stop, "edge: the drain takes 65 s, its grace is 60 s"),
    (_blocking_budget, "PodDisruptionBudget envoy: blocks"),
    (_missing_budget, "api: has no PodDisruptionBudget"),
    (_one_zone, "edge: may have all pods in one zone"),
    (_large_map, "ConfigMap envoy-documents: has"),
    (_replicas_of_scaled, "api: replicas would be set back"),
    (_missing_policy, "worker: no policy denies egress"),
    (_closed_way, "api cannot reach valkey:6379"),
    (_open_way, "worker may reach api:50051"),
    (_internet_for_the_worker, "worker: may reach the internet"),
    (_metadata_service, "fetcher: may reach 169.254.169.254"),
    (_plain_secret, "worker: REDIS_PASSWORD is a secret in plain text"),
    (_secret_in_map, "envoy: CLIENT_SECRET is a secret in plain text"),
)


@pytest.mark.parametrize(("plant", "sentence"), DEFECTS, ids=lambda value: getattr(value, "__name__", "")[1:])
def test_planted_defects_are_found(plant: Callable[[list[Object]], None], sentence: str) -> None:
    objects = copy.deepcopy(RENDERED["prod"])
    plant(objects)

    assert [found for found in mistakes(objects) if found.startswith(sentence)] != []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_programs_share_their_secrets(overlay: str) -> None:
    given = {
        each.name: environment(each.containers[0], RENDERED[overlay]) for each in workloads(RENDERED[overlay])
    }
    assert given["edge"]["EDGE_REFRESH_SECRET"] == given["worker"]["CDN_REFRESH_SECRET"]
    assert given["edge"]["EDGE_PLAYBACK_KEYS_FILE"] == given["api"]["PLAYBACK_KEYS_FILE"]
    assert given["edge"]["EDGE_BUCKET"] == given["api"]["S3_BUCKET"]
    if "shield" in given:
        for name in ("EDGE_BUCKET", "EDGE_ORIGIN_SECRET"):
            assert given["shield"][name] == given["edge"][name]
    assert (
        given["api"]["S3_SECRET_KEY"] != given["worker"]["S3_SECRET_KEY"] == given["fetcher"]["S3_SECRET_KEY"]
    )
    if "store-setup" in given:
        assert given["store-setup"]["EDGE_ORIGIN_SECRET"] == given["edge"]["EDGE_ORIGIN_SECRET"]
        assert given["seaweedfs"]["S3_SECRET_KEY"] == given["api"]["S3_SECRET_KEY"]
        assert given["seaweedfs"]["S3_WORKER_SECRET_KEY"] == given["worker"]["S3_SECRET_KEY"]
        assert given["seaweedfs"]["S3_ADMIN_SECRET_KEY"] == given["store-setup"]["S3_ADMIN_SECRET_KEY"]


def test_images_and_variables_are_those_of_compose() -> None:
    names = {
        "valkey": "redis",
        "envoy": "envoy",
        "seaweedfs": "seaweedfs",
    }
    for each in workloads(RENDERED["dev"]):
        if each.name in names:
            assert each.containers[0]["image"] == SERVICES[names[each.name]]["image"]
    assert container(RENDERED["prod"], "edge")["image"] == SERVICES["nginx"]["image"]
    assert container(RENDERED["dev"], "edge")["image"].startswith("registry.example.com/gostream-edge:")
    ours = configuration(RENDERED["prod"], "edge").keys() | {"EDGE_ORIGIN_SECRET", "EDGE_REFRESH_SECRET"}
    assert ours == SERVICES["nginx"]["environment"].keys()


def test_workers_have_memory_for_their_slots() -> None:
    for overlay in OVERLAYS:
        worker = container(RENDERED[overlay], "worker")
        slots = int(configuration(RENDERED[overlay], "worker")["WORKER_SLOTS"])
        assert WorkerConfig.model_fields["encoder_memory_bytes"].default * slots + (1 << 30) <= amount(
            worker["resources"]["limits"]["memory"]
        )


def test_fetches_are_only_for_fetchers() -> None:
    objects = RENDERED["prod"]
    assert configuration(objects, "worker")["SOURCE_FETCH_SLOTS"] == "0"
    assert configuration(objects, "worker")["WEBHOOK_SLOTS"] == "0"
    assert configuration(objects, "fetcher")["WORKER_SLOTS"] == "0"
