"""Rules about the variables of containers: each is read by its program, and has a value that it accepts."""

import re
from collections.abc import Iterator

from gostream_api.config import ApiConfig
from gostream_shared.config import Config, ConfigError, load
from gostream_worker.config import WorkerConfig
from tests.deploy.compose_file import ROOT, SERVICES
from tests.deploy.kubernetes.pods import SecretKey, environment, workloads
from tests.deploy.kubernetes.rendering import FOLDER, Object

CONFIGURED: dict[str, type[Config]] = {"api": ApiConfig, "worker": WorkerConfig, "fetcher": WorkerConfig}
#: What the programs of others read, which this repository cannot look up.
_OTHERS = {
    "valkey": {"REDISCLI_AUTH"},
}
#: The folder of the template, by workload.
_NGINX = {"edge": "deploy/nginx/templates", "shield": "deploy/nginx/shield"}
#: Set by the images of the services.
_IMAGES = {
    name: dict(re.findall(r"(\w+_HOST)=(\S+)", (ROOT / f"services/{name}/Dockerfile").read_text()))
    for name in ("api", "worker")
}
_SECRET_VALUES = {"uri": "postgresql://app:0123456789abcdef0123@database-rw/gostream", "playback.keys": ""}


def variables(objects: list[Object]) -> Iterator[str]:
    for each in workloads(objects):
        for container in each.containers:
            given = environment(container, objects)
            if each.name in CONFIGURED:
                yield from _of_service(each.name, given)
                continue
            known = _known(each.name)
            for name in sorted(given.keys() - known):
                yield f"{each.name}: does not read {name}"
            if each.name in _NGINX:
                for name in sorted(known - given.keys()):
                    yield f"{each.name}: {name} is not set"


def _known(workload: str) -> set[str]:
    match workload:
        case "edge" | "shield":
            template = (ROOT / _NGINX[workload] / "nginx.conf.template").read_text()
            of_image = {name for name in SERVICES["nginx"]["environment"] if name.startswith("NGINX_")}
            return {*re.findall(r"\$\{(EDGE_\w+)\}", template), *of_image}
        case "envoy":
            return set(re.findall(r"\$\{(EDGE_\w+)", (ROOT / "deploy/envoy/start.sh").read_text()))
        case "store-setup":
            return set(re.findall(r'"((?:S3|EDGE)_\w+)"', (ROOT / "deploy/s3/setup.py").read_text()))
        case "seaweedfs":
            return {"HOME", *re.findall(r"\$\{?(S3_\w+)", (ROOT / "deploy/s3/seaweedfs.sh").read_text())}
        case "migrate":
            return {"DATABASE_URL"}
        case _:
            return _OTHERS[workload]


def _of_service(service: str, given: dict[str, str | SecretKey]) -> Iterator[str]:
    config = CONFIGURED[service]
    fields = {field.upper() for field in config.model_fields}
    for name in sorted(given):
        if name not in fields and name.removesuffix("_FILE") not in fields:
            yield f"{service}: does not read {name}"
    own = {
        name: value if isinstance(value, str) else _SECRET_VALUES.get(value.key, "0123456789abcdef0123")
        for name, value in given.items()
        if name in fields
    }
    if "AUTH_JWT_ISSUERS_FILE" in own:
        own["AUTH_JWT_ISSUERS_FILE"] = str(FOLDER / "base/issuers/issuers.yaml")
    try:
        load(config, _IMAGES["api" if service == "api" else "worker"] | own)
    except ConfigError as error:
        yield f"{service}: {error}"
