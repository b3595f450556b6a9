"""Metrics of playback from any log lines."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tools.qoe import metrics
from tools.qoe.metrics import SILENT, Viewers
from tools.qoe.report import LONGEST, report_of

SESSION = "6e2fb550-c457-11e9-bb97-0800200c9a66"


def line(cmcd: object) -> str:
    return json.dumps({"uri": "/hls/v/seg.ts", "cmcd": cmcd})


def of_player(text: str, session: str = SESSION) -> str:
    return line(quote(f'{text},cid="film-7",sid="{session}"'))


def seen(*lines: tuple[float, str]) -> tuple[CollectorRegistry, str]:
    registry = CollectorRegistry()
    viewers = Viewers(registry)
    for at, text in lines:
        if report := report_of(text, at):
            viewers.note(report)
    return registry, generate_latest(registry).decode()


def test_session_counts_once_by_its_ladder() -> None:
    registry, text = seen(
        (0.0, of_player("ot=m,su")),
        (1.0, of_player("ot=v,su,tb=5000,mtp=8000")),
        (1.5, of_player("ot=v,tb=5000,mtp=8000")),
        (5.0, of_player("ot=v,tb=5000,bs")),
        (9.0 + SILENT, of_player("ot=m,su", session="another")),
    )

    top = {"top": "6m"}
    assert registry.get_sample_value("gostream_qoe_sessions_total", top) == 1
    assert registry.get_sample_value("gostream_qoe_startup_seconds_sum", top) == 1.5
    assert registry.get_sample_value("gostream_qoe_rebuffer_ratio_sum", top) == pytest.approx(1 / 3)
    assert registry.get_sample_value("gostream_qoe_throughput_kbps_count", top) == 2
    assert SESSION not in text
    assert "film-7" not in text


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "no json",
        "[]",
        "[" * 50_000,
        line(None),
        line(7),
        line("x" * (LONGEST + 1)),
        line(quote('sid="')),
        line(quote('sid="a\\"b')),
        line(quote("ot=v,mtp=5000")),
        line(quote('sid="' + "s" * 65 + '"')),
    ],
)
def test_hostile_lines_are_no_reports(hostile: str) -> None:
    assert report_of(hostile, 0.0) is None


@pytest.mark.parametrize("number", ["-1", "1e9", "99999999999", "٣", "NaN", ""])
def test_odd_numbers_are_left_out(number: str) -> None:
    report = report_of(of_player(f"ot=v,mtp={number},tb={number}"), 0.0)

    assert report is None or (report.throughput, report.bucket) == (None, "unknown")


@given(st.text(max_size=300) | st.from_regex(r'(sid|ot|bs|mtp|tb|su)(="?[^,]{0,9}"?)?(,.*)?', fullmatch=True))
def test_any_text_makes_bounded_labels(text: str) -> None:
    registry, _ = seen((0.0, line(text)), (1.0, line(quote(text))), (2.0, of_player(text)))

    tops = {s.labels["top"] for f in registry.collect() for s in f.samples if "top" in s.labels}
    assert tops <= {"1m", "3m", "6m", "12m", "more", "unknown"}


def test_number_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST", 10)

    registry, _ = seen(*((0.0, of_player("ot=v", session=str(number))) for number in range(100)))

    assert (registry.get_sample_value("gostream_qoe_active_sessions") or 0) <= 11
