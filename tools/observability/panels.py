"""Panels of the dashboards: a row of charts from titles and queries."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

#: The variable by which a user chooses the Prometheus.
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Columns of Grafana's grid, and the height of a chart in its rows.
_COLUMNS = 24
_HEIGHT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart. `queries` maps legends, which may name labels as `{{label}}`, to PromQL."""

    title: str
    unit: str
    queries: dict[str, str]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard: rows of charts by their titles."""

    name: str
    title: str
    rows: dict[str, list[Chart]] = field(default_factory=dict)


def quantile(rank: float, histogram: str, by: str = "") -> str:
    """Returns the query of a quantile of a histogram over all processes, or by a label."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({rank}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def rate(series: str, by: str = "") -> str:
    """Returns the query of the rate of a counter over all processes, or by a label."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({series}[$__rate_interval]))"


def _chart(chart: Chart, width: int, ids: Iterator[int]) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .id(next(ids))
        .title(chart.title)
        .description(chart.text)
        .datasource(_SOURCE)
        .unit(chart.unit)
        .span(width)
        .height(_HEIGHT)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for letter, (legend, query) in zip("ABCDEFGH", chart.queries.items(), strict=False):
        panel = panel.with_target(
            prometheus.Dataquery()
            .ref_id(letter)
            .expr(query)
            .legend_format(legend)
            .range()
            .datasource(_SOURCE)
        )
    return panel


def text(board: Board) -> str:
    """Returns the JSON of a dashboard."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.name)
        .tags(["gostream"])
        .readonly()
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    ids = count(1)
    for title, charts in board.rows.items():
        built = built.with_row(dashboard.Row(title).id(next(ids)))
        for chart in charts:
            built = built.with_panel(_chart(chart, _COLUMNS // len(charts), ids))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
