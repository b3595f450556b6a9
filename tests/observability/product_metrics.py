"""The metrics of the product, as its source defines them."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.repository import tracked

_KINDS = {"Counter", "Gauge", "Histogram"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by the name in the code. `series` maps the names of its series to their labels."""

    name: str
    series: dict[str, frozenset[str]]
    #: The values of `le` without +Inf, of a histogram, as prometheus_client writes them below a million.
    bounds: frozenset[str]


@functools.cache
def metrics() -> dict[str, Metric]:
    """Every metric by its name in the code."""
    found = {}
    for path in (*tracked("*/src/*.py"), *tracked("tools/qoe/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), *_]) if (
                    kind in _KINDS and name.startswith("gostream_")
                ):
                    found[name] = _metric(kind, name, node)
    return found


def all_series() -> dict[str, Metric]:
    """Every metric by the names of its series."""
    return {series: metric for metric in metrics().values() for series in metric.series}


def _metric(kind: str, name: str, call: ast.Call) -> Metric:
    labels = frozenset(_strings(call.args[2])) if len(call.args) > 2 else frozenset[str]()
    if kind != "Histogram":
        series = name.removesuffix("_total") + "_total" if kind == "Counter" else name
        return Metric(name, {series: labels}, frozenset())
    buckets = next(keyword.value for keyword in call.keywords if keyword.arg == "buckets")
    bounds = frozenset(repr(float(bound)) for bound in ast.literal_eval(buckets))
    parts = {name: labels, f"{name}_sum": labels, f"{name}_count": labels, f"{name}_bucket": labels | {"le"}}
    return Metric(name, parts, bounds)


def _strings(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        match part:
            case ast.Constant(value=str(text)):
                yield text
