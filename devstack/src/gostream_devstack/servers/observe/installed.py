"""The observing servers that this machine can start, and what it lacks."""

from collections.abc import Callable, Mapping, Sequence

from gostream_devstack.host.directories import Directories
from gostream_devstack.servers.observe import grafana, prometheus
from gostream_devstack.servers.server import Server


def installed(
    directories: Directories, port: Callable[[str], int], jobs: Mapping[str, Sequence[str]]
) -> tuple[list[Server], dict[str, str], list[str]]:
    """Returns the servers, their URLs by variable, and one sentence for each that is not installed.

    `port` chooses the port of a server by its name. Grafana is not started without Prometheus.
    """
    found = prometheus.program()
    if found is None:
        return [], {}, [prometheus.ADVICE]
    metrics = prometheus.Prometheus(directories, port("prometheus"), found, jobs)
    if (shown_by := grafana.program()) is None:
        return [metrics], {"PROMETHEUS_URL": metrics.url}, [grafana.ADVICE]
    shown = grafana.Grafana(directories, port("grafana"), shown_by, metrics.url)
    return [metrics, shown], {"PROMETHEUS_URL": metrics.url, "GRAFANA_URL": shown.url}, []
