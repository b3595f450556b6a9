"""Envoy's configuration with the fast door, and the error if embedding is impossible."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gostream_api.fast_door import envoy_config
from gostream_api.fast_door.run import main

DEPLOY = Path(__file__).parents[4] / "deploy/envoy"


def load(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return tree


def manager(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    typed: dict[str, Any] = found["typed_config"]
    return typed


def test_fast_door_filter_precedes_the_router() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    names = [each["name"].rpartition(".")[2] for each in manager(config)["http_filters"]]

    assert names == [
        "healthz",
        "cors",
        "buffer",
        "grpc_web",
        "grpc_json_transcoder",
        "health_check",
        "composite",
        "router",
    ]


def test_fast_door_routes_follow_the_refusals() -> None:
    edge, door = load("envoy.yaml"), load("door.yaml")
    config = envoy_config.with_door(edge, door)

    [host] = manager(config)["route_config"]["virtual_hosts"]

    statuses = [route.get("direct_response", {}).get("status") for route in host["routes"][:3]]
    assert statuses == [403, 403, None]
    assert host["routes"][2] == door["routes"][0]


def test_fast_door_adds_only_drain_paths() -> None:
    edge = load("envoy.yaml")
    config = envoy_config.with_door(edge, load("door.yaml"))

    added = [each for each in config["admin"]["allow_paths"] if each not in edge["admin"]["allow_paths"]]

    assert added == [{"exact": "/healthcheck/fail"}, {"exact": "/drain_listeners"}]


def test_application_skips_routes_that_envoy_answers() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    [host] = manager(config)["route_config"]["virtual_hosts"]

    for route in host["routes"]:
        hidden = envoy_config.APPLICATION in route.get("typed_per_filter_config", {})
        expected = "direct_response" in route and route["match"] != {"path": "/readyz"}
        assert hidden is expected, route["match"]


def test_one_application_serves_all_routes() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    assert yaml.safe_dump(config).count("gostream_api.fast_door.asgi:app") == 1


def test_edge_configuration_is_not_modified_in_place() -> None:
    edge = load("envoy.yaml")

    envoy_config.with_door(edge, load("door.yaml"))

    assert edge == load("envoy.yaml")


def test_module_path_is_substituted() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    assert envoy_config.MODULE not in yaml.safe_dump(config)


def test_missing_libpython_is_explained_with_an_alternative(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    monkeypatch.setattr(envoy_config, "pyvoy_module", lambda: "here")
    monkeypatch.setattr(sys, "argv", ["gostream-door"])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "no shared libpython" in said
    assert "run Envoy without it" in said
