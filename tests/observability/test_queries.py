"""Rules and dashboards use metrics, labels and bounds that exist, and leave no metric out."""

import re
from pathlib import Path

import promql_parser

from gostream.v1 import event_service_pb2, track_service_pb2, upload_service_pb2, video_service_pb2
from tests.observability import queries
from tests.observability.product_metrics import all_series, metrics
from tools.observability.__main__ import ROOT, drifted
from tools.observability.objectives import OBJECTIVES

#: Labels that Prometheus adds.
TARGET = {"job", "instance"}
#: Metrics that no rule and no dashboard uses, each with its reason.
UNUSED: dict[str, str] = {}


def of_ours(name: str) -> bool:
    return name.startswith("gostream_")


def fault(query: str) -> str | None:
    try:
        promql_parser.parse(query)
    except ValueError as error:
        return str(error)
    return None


def test_every_query_is_valid_promql() -> None:
    faults = {place: reason for place, query in queries.queries().items() if (reason := fault(query))}

    assert len(queries.queries()) > 100
    assert fault("rate(gostream_bus_live)")
    assert faults == {}


def test_queries_use_existing_series_and_labels() -> None:
    recorded = {rule["record"] for rule in queries.rules() if "record" in rule}
    wrong = []
    for place, query in queries.queries().items():
        for selector in queries.selectors(query):
            name = selector.name or ""
            if not of_ours(name):
                if name not in recorded and name != "up" and not name.startswith("envoy_"):
                    wrong.append((place, name))
                continue
            metric = all_series().get(name)
            labels = {matcher.name for matcher in selector.matchers.matchers}
            if metric is None or labels - metric.series[name] - TARGET:
                wrong.append((place, str(selector)))

    assert wrong == []


def test_bounds_of_buckets_exist() -> None:
    wanted = [
        (selector.name, matcher.value)
        for query in queries.queries().values()
        for selector in queries.selectors(query)
        for matcher in selector.matchers.matchers
        if matcher.name == "le"
    ]

    assert wanted
    assert [(name, bound) for name, bound in wanted if bound not in all_series()[name or ""].bounds] == []


def test_every_metric_is_used_or_excused() -> None:
    used = {
        all_series()[selector.name].name
        for query in queries.queries().values()
        for selector in queries.selectors(query)
        if selector.name in all_series()
    }

    assert set(metrics()) - used == set(UNUSED)


def test_groups_and_legends_use_existing_labels() -> None:
    known = TARGET.union(*(labels for metric in metrics().values() for labels in metric.series.values()))
    known |= {"slo", "envoy_response_code_class", "envoy_cluster_name"}
    texts = [
        *queries.queries().values(),
        *(
            f"by ({', '.join(re.findall(r'{{(.*?)}}', target['legendFormat']))})"
            for board in queries.boards().values()
            for chart in queries.charts(board)
            for target in chart["targets"]
        ),
    ]
    named = {
        label.strip()
        for text in texts
        for group in re.findall(r"\b(?:by|on) \((.*?)\)", text)
        for label in group.split(",")
        if label.strip()
    }

    assert named
    assert named - known == set()


def test_objectives_name_existing_methods() -> None:
    files = (event_service_pb2, track_service_pb2, upload_service_pb2, video_service_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    methods = {method.name for service in services for method in service.methods}
    named = {
        name
        for objective in OBJECTIVES
        for group in re.findall(r"/\((.*?)\)", objective.total)
        for name in group.split("|")
    }

    assert named
    assert [name for name in named if not any(re.fullmatch(name, method) for method in methods)] == []


def test_charts_fit_the_grid_and_have_own_ids() -> None:
    for board in queries.boards().values():
        ids = [panel["id"] for panel in board["panels"]]
        places = [panel["gridPos"] for panel in board["panels"]]

        assert len(set(ids)) == len(ids)
        assert all(place["x"] + place["w"] <= 24 for place in places)
        assert len({(place["x"], place["y"]) for place in places}) == len(places)


def test_generated_files_are_current() -> None:
    assert drifted(ROOT) == []


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "deploy/grafana"
    folder.mkdir(parents=True)
    (folder / "old.json").write_text("{}")

    assert drifted(tmp_path) == [
        "deploy/grafana/gostream-api.json",
        "deploy/grafana/gostream-edge.json",
        "deploy/grafana/gostream-worker.json",
        "deploy/grafana/old.json",
        "deploy/prometheus/objectives.yaml",
    ]
