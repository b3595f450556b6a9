"""The queries of the rules and of the dashboards."""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml

from tests.support.repository import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"


def rules() -> list[dict[str, Any]]:
    """Every recording and alert rule."""
    return [
        rule
        for name in ("objectives.yaml", "alerts.yaml")
        for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for rule in rules() if "alert" in rule]


def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {path.name: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}


def charts(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard that show queries."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query by a name of its place. A variable of Grafana has the value of a duration."""
    found = {
        f"{rule.get('alert', rule.get('record'))} {rule.get('labels')}": rule["expr"] for rule in rules()
    }
    for name, board in boards().items():
        for chart in charts(board):
            for target in chart["targets"]:
                found[f"{name}: {chart['title']}: {target['refId']}"] = target["expr"].replace(
                    "$__rate_interval", "5m"
                )
    return found


def selectors(query: str) -> Iterator[promql_parser.VectorSelector]:
    """The selectors of a query. Raises ValueError if it is no PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(query), visit)
    return iter(found)
