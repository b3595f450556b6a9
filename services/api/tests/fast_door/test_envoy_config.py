"""What stands in Envoy's configuration once the door is in it, and what is said where it cannot be."""

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


def test_the_door_stands_behind_the_browsers_filters_and_before_the_router() -> None:
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


def test_the_doors_routes_come_after_the_refusals() -> None:
    edge, door = load("envoy.yaml"), load("door.yaml")
    config = envoy_config.with_door(edge, door)

    [host] = manager(config)["route_config"]["virtual_hosts"]

    statuses = [route.get("direct_response", {}).get("status") for route in host["routes"][:3]]
    assert statuses == [403, 403, None]
    assert host["routes"][2] == door["routes"][0]


def test_door_may_drain_and_nothing_more() -> None:
    edge = load("envoy.yaml")
    config = envoy_config.with_door(edge, load("door.yaml"))

    added = [each for each in config["admin"]["allow_paths"] if each not in edge["admin"]["allow_paths"]]

    assert added == [{"exact": "/healthcheck/fail"}, {"exact": "/drain_listeners"}]


def test_application_sees_nothing_envoy_itself_answers() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    [host] = manager(config)["route_config"]["virtual_hosts"]

    for route in host["routes"]:
        hidden = envoy_config.APPLICATION in route.get("typed_per_filter_config", {})
        expected = "direct_response" in route and route["match"] != {"path": "/readyz"}
        assert hidden is expected, route["match"]


def test_one_application_answers_everything() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    assert yaml.safe_dump(config).count("gostream_api.fast_door.asgi:app") == 1


def test_the_edge_itself_is_left_as_it_is() -> None:
    edge = load("envoy.yaml")

    envoy_config.with_door(edge, load("door.yaml"))

    assert edge == load("envoy.yaml")


def test_the_modules_place_is_put_in() -> None:
    config = envoy_config.with_door(load("envoy.yaml"), load("door.yaml"))

    assert envoy_config.MODULE not in yaml.safe_dump(config)


def test_where_it_cannot_be_embedded_the_command_says_why_and_what_works(
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
    assert "run plain Envoy" in said
