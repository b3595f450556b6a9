"""The variables of docker-compose.yml equal the variables of the services."""

import importlib
from pathlib import Path

import pytest
import yaml

from gostream_shared.config import Config, load
from tests.deploy.compose_file import ROOT, SERVICES

CONFIGURED = {
    "api": "gostream_api.config:ApiConfig",
    "worker": "gostream_worker.config:WorkerConfig",
    "fetcher": "gostream_worker.config:WorkerConfig",
}


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_configuration_accepts_every_variable(name: str) -> None:
    module, kind = CONFIGURED[name].split(":")
    config: type[Config] = getattr(importlib.import_module(module), kind)
    environment = SERVICES[name]["environment"]
    known = {field.upper() for field in config.model_fields}
    assert {name if name in known else name.removesuffix("_FILE") for name in environment} <= known
    load(config, {key: value for key, value in environment.items() if not key.endswith("_FILE")})


def test_migration_accepts_its_variables() -> None:
    source = Path(str(importlib.import_module("gostream_shared.db.migrate").__file__)).read_text()
    assert all(f'"{variable}"' in source for variable in SERVICES["migrate"]["environment"])


def test_shared_secrets_are_equal() -> None:
    store, setup, edge, api, worker = (
        SERVICES[name]["environment"] for name in ("seaweedfs", "store-setup", "nginx", "api", "worker")
    )
    assert edge["EDGE_REFRESH_SECRET"] == worker["CDN_REFRESH_SECRET"]
    assert edge["EDGE_ORIGIN_SECRET"] == setup["EDGE_ORIGIN_SECRET"]
    assert edge["EDGE_PLAYBACK_KEYS_FILE"] == api["PLAYBACK_KEYS_FILE"]
    for key in ("ACCESS_KEY", "SECRET_KEY"):
        assert store[f"S3_ADMIN_{key}"] == setup[f"S3_ADMIN_{key}"]
        assert store[f"S3_{key}"] == api[f"S3_{key}"]
        assert store[f"S3_WORKER_{key}"] == worker[f"S3_{key}"] != api[f"S3_{key}"]
    assert edge["EDGE_BUCKET"] == api["S3_BUCKET"]
    for policy in (ROOT / "deploy/s3").glob("*.json"):
        if policy.name == "cors.json":
            continue  # rules of another kind
        statements = yaml.safe_load(policy.read_text())["Statement"]
        resources = [resource for statement in statements for resource in statement["Resource"]]
        assert all(resource.startswith(f"arn:aws:s3:::{api['S3_BUCKET']}") for resource in resources)
