"""Serves metrics of playback: `… logs of the edge … | python -m tools.qoe --port 9105`."""

import argparse
import sys
import time

from prometheus_client import start_http_server

from tools.qoe.metrics import Viewers
from tools.qoe.report import report_of

_LONGEST_LINE = 65_536


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.qoe", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address of the metrics")
    parser.add_argument("--port", type=int, default=9105, help="port of the metrics")
    options = parser.parse_args()
    start_http_server(options.port, addr=options.host)
    viewers = Viewers()
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    while line := sys.stdin.readline(_LONGEST_LINE):
        if report := report_of(line, time.monotonic()):
            viewers.note(report)


if __name__ == "__main__":
    main()
