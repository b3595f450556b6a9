"""Each alert fires on its fault and is silent without it, in Prometheus itself (promtool)."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability import queries

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")

GET = 'method="/gostream.v1.VideoService/GetVideo"'
CREATE = 'method="/gostream.v1.VideoService/CreateVideo"'
API = 'job="gostream-api",instance="api:9101"'
WORKER = 'job="gostream-worker",instance="worker:9102"'
FIRING = 'alertstate="firing"'
#: A day after the start of promtool's clock, in seconds since 1970.
DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series in promtool's notation, a value each `step`, by which an alert fires or not."""

    alert: str
    at: str
    fires: dict[str, str]
    silent: dict[str, str] = field(default_factory=dict)
    step: str = "1m"


def calls(good: str, bad: str, code: str = "INTERNAL", method: str = GET) -> dict[str, str]:
    return {
        f'gostream_rpc_handled_total{{{method},code="OK"}}': good,
        f'gostream_rpc_handled_total{{{method},code="{code}"}}': bad,
    }


def durations(all_: str, quick: str, bound: str, method: str = GET) -> dict[str, str]:
    return {
        f'gostream_rpc_handled_total{{{method},code="OK"}}': all_,
        f"gostream_rpc_duration_seconds_count{{{method}}}": all_,
        f'gostream_rpc_duration_seconds_bucket{{{method},le="{bound}"}}': quick,
    }


def lags(all_: str, quick: str) -> dict[str, str]:
    return {"gostream_gate_lag_seconds_count": all_, 'gostream_gate_lag_seconds_bucket{le="2.0"}': quick}


def attempts(all_: str, bad: str, code: str = "INTERNAL") -> dict[str, str]:
    return {
        "gostream_worker_attempts_total": all_,
        f'gostream_worker_failures_total{{code="{code}"}}': bad,
    }


def outcomes(outcome: str) -> dict[str, str]:
    return {
        "gostream_worker_attempts_total": "0+10x60",
        f'gostream_worker_jobs_total{{kind="transcode",outcome="{outcome}"}}': "0+1x60",
    }


def keys(ok: str, failed: str) -> dict[str, str]:
    return {
        'gostream_jwks_fetches_total{issuer="a",result="ok"}': ok,
        'gostream_jwks_fetches_total{issuer="a",result="failed"}': failed,
    }


def refreshes(ok: str, failed: str) -> dict[str, str]:
    return {
        'gostream_worker_edge_refreshes_total{outcome="ok"}': ok,
        'gostream_worker_edge_refreshes_total{outcome="failed"}': failed,
    }


FAST, SLOWLY = "GostreamErrorBudgetBurnsFast", "GostreamErrorBudgetBurnsSlowly"
CASES = (
    # 14.4 times the budget of 0.1 % is 1.44 %: 1.6 % fires, 0.09 % (nine tenths of the budget) does not.
    Case(alert=FAST, at="1h", fires=calls("0+984x60", "0+16x60"), silent=calls("0+99910x60", "0+90x60")),
    # The same in the last hour of three only, where the windows of 6 times do not reach 0.6 %.
    Case(
        alert=FAST,
        at="3h",
        fires=calls("0+984x180", "0x120 0+16x59"),
        silent=calls("0+987x180", "0x120 0+13x59"),
    ),
    # 6 times the budget, for six hours: 0.8 % fires; once it has ended for half an hour, nothing does.
    Case(
        alert=FAST,
        at="6h",
        step="5m",
        fires=calls("0+992x72", "0+8x72"),
        silent=calls("0+992x72", "0+8x63 504x8"),
    ),
    # No traffic, and a single failure of few calls.
    Case(alert=FAST, at="1h", fires=calls("0+1x60", "0+1x60"), silent=calls("5x60", "0x60")),
    Case(alert=FAST, at="1h", fires=calls("0+1x60", "0+1x60"), silent=calls("0+1x60", "0x57 4x3")),
    # Errors of callers use no budget.
    Case(
        alert=FAST,
        at="1h",
        fires=calls("0+98x60", "0+2x60", "UNAVAILABLE"),
        silent=calls("0+98x60", "0+2x60", "NOT_FOUND"),
    ),
    Case(
        alert=FAST,
        at="1h",
        fires=calls("0+98x60", "0+2x60", method=CREATE),
        silent=calls("0+98x60", "0+2x60", method='method="/gostream.v1.VideoService/WatchVideo"'),
    ),
    Case(
        alert=FAST,
        at="1h",
        fires=durations("0+100x60", "0+80x60", "0.05"),
        silent=durations("0+1000x60", "0+991x60", "0.05"),
    ),
    Case(
        alert=FAST,
        at="1h",
        fires=durations("0+100x60", "0+80x60", "2.5", CREATE),
        silent=durations("0+1000x60", "0+991x60", "2.5", CREATE),
    ),
    Case(
        alert=FAST,
        at="1h",
        fires=attempts("0+10x60", "0+1x60"),
        silent=attempts("0+10x60", "0+1x60", "SOURCE_NOT_MEDIA"),
    ),
    Case(alert=FAST, at="1h", fires=outcomes("outage"), silent=outcomes("given back")),
    Case(alert=FAST, at="1h", fires=lags("0+10x60", "0+8x60"), silent=lags("0+1000x60", "0+991x60")),
    Case(
        alert=SLOWLY,
        at="3d",
        step="30m",
        fires=calls("0+998x144", "0+2x144"),
        silent=calls("0+9991x144", "0+9x144"),
    ),
    Case(alert="GostreamApiAbsent", at="5m", fires={}, silent={"gostream_ratelimit_degraded": "0x5"}),
    Case(alert="GostreamWorkersAbsent", at="10m", fires={}, silent={"gostream_worker_has_room": "1x10"}),
    Case(
        alert="GostreamTargetDown",
        at="10m",
        fires={'up{job="gostream-api",instance="a"}': "0x10"},
        silent={'up{job="other",instance="a"}': "0x10", 'up{job="gostream-api",instance="b"}': "0x3 1x7"},
    ),
    Case(
        alert="GostreamCertificateExpires",
        at="2h",
        step="10m",
        fires={"gostream_tls_not_after_seconds": f"{13 * DAY}x120"},
        silent={
            'gostream_tls_not_after_seconds{instance="a"}': f"{15 * DAY}x120",
            'gostream_tls_not_after_seconds{instance="without TLS"}': "0x120",
        },
    ),
    Case(
        alert="GostreamCertificateExpiresSoon",
        at="10m",
        fires={"gostream_tls_not_after_seconds": f"{DAY}x10"},
        silent={"gostream_tls_not_after_seconds": f"{3 * DAY}x10"},
    ),
    Case(
        alert="GostreamKeysNotFetched", at="1h", fires=keys("5x60", "0+1x60"), silent=keys("0+1x60", "0+1x60")
    ),
    Case(
        alert="GostreamWebhooksDead",
        at="30m",
        fires={'gostream_worker_webhook_deliveries_total{outcome="dead"}': "0+1x30"},
        silent={
            'gostream_worker_webhook_deliveries_total{outcome="dead"}': "3x30",
            'gostream_worker_webhook_deliveries_total{outcome="failed"}': "0+9x30",
        },
    ),
    Case(
        alert="GostreamRateLimitDegraded",
        at="10m",
        fires={"gostream_ratelimit_degraded": "1x10"},
        silent={"gostream_ratelimit_degraded": "1x3 0x3 1x3"},
    ),
    Case(
        alert="GostreamBusDown",
        at="5m",
        fires={f"gostream_bus_live{{{API}}}": "0x5"},
        silent={
            f"gostream_bus_live{{{API}}}": "1x5",
            f"gostream_bus_live{{{WORKER}}}": "0x5",
            f"gostream_worker_has_room{{{WORKER}}}": "1x5",
        },
    ),
    Case(
        alert="GostreamChangesUnannounced",
        at="5m",
        fires={"gostream_unannounced_videos": "3x5"},
        silent={"gostream_unannounced_videos": "3x3 0x2"},
    ),
    Case(
        alert="GostreamRedisRefuses",
        at="20m",
        fires={'gostream_redis_refused_total{reason="OOM"}': "0+1x20"},
        silent={'gostream_redis_refused_total{reason="OOM"}': "7x20"},
    ),
    Case(
        alert="GostreamEpochsDiffer",
        at="10m",
        fires={
            f"gostream_cache_namespace_epoch{{{API}}}": "4x10",
            'gostream_cache_namespace_epoch{job="b"}': "3x10",
        },
        silent={
            f"gostream_cache_namespace_epoch{{{API}}}": "4x10",
            'gostream_cache_namespace_epoch{job="not connected yet"}': "0x10",
        },
    ),
    Case(
        alert="GostreamReplicaInconsistent",
        at="10m",
        fires={'gostream_audit_inconsistent_total{replica="a"}': "0x5 1x5"},
        silent={'gostream_audit_inconsistent_total{replica="a"}': "1x10"},
    ),
    Case(
        alert="GostreamWorkerHasNoRoom",
        at="10m",
        fires={
            'gostream_worker_has_room{instance="a"}': "0x10",
            'gostream_worker_has_room{instance="b"}': "1x10",
        },
        silent={"gostream_worker_has_room": "1x10"},
    ),
    Case(
        alert="GostreamNoWorkerHasRoom",
        at="10m",
        fires={"gostream_worker_has_room": "0x10"},
        silent={
            'gostream_worker_has_room{instance="a"}': "0x10",
            'gostream_worker_has_room{instance="b"}': "1x10",
        },
    ),
    Case(
        alert="GostreamJobsWaitLong",
        at="40m",
        step="5m",
        fires={'gostream_worker_longest_wait_seconds{kind="transcode"}': "0+300x8"},
        silent={
            'gostream_worker_longest_wait_seconds{kind="transcode"}': "0+200x8",
            'gostream_worker_longest_wait_seconds{kind="remove"}': "0+300x8",
        },
    ),
    Case(
        alert="GostreamQueueGrows",
        at="3h",
        step="5m",
        fires={'gostream_worker_jobs_waiting{kind="transcode"}': "0x12 0+40x24"},
        silent={
            'gostream_worker_jobs_waiting{kind="transcode"}': "500x36",
            'gostream_worker_jobs_waiting{kind="fetch"}': "0+2x36",
        },
    ),
    Case(
        alert="GostreamOrphanedUploads",
        at="1d",
        step="30m",
        fires={"gostream_worker_orphaned_uploads_total": "0+10x48"},
        silent={"gostream_worker_orphaned_uploads_total": "0x40 90x7"},
    ),
    Case(
        alert="GostreamTakedownsWait",
        at="10m",
        fires={'gostream_worker_gate_changes_waiting{instance="a"}': "5x10"},
        silent={'gostream_worker_gate_changes_waiting{instance="a"}': "5 0 5 0 5 0 5 0 5 0 5"},
    ),
    Case(
        alert="GostreamEdgeNotRefreshed",
        at="1h",
        fires=refreshes("0+1x60", "0+2x60"),
        silent=refreshes("0+2x60", "0+1x60"),
    ),
)


def count_of(case: Case, series: dict[str, str], *, firing: bool) -> dict[str, Any]:
    samples = [{"labels": "{}", "value": 1}] if firing else []
    return {
        "interval": case.step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(count by (alertname) (ALERTS{{alertname="{case.alert}",{FIRING}}}))',
                "eval_time": case.at,
                "exp_samples": samples,
            }
        ],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_only_on_its_fault(case: Case, tmp_path: Path) -> None:
    tests = [
        count_of(case, case.fires, firing=True),
        count_of(case, case.silent, firing=False),
    ]
    file = tmp_path / "case.yaml"
    rule_files = [str(queries.PROMETHEUS / name) for name in ("objectives.yaml", "alerts.yaml")]
    # promtool evaluates groups that are not named in any order.
    groups = [yaml.safe_load(Path(name).read_text())["groups"] for name in rule_files]
    content = {
        "rule_files": rule_files,
        "evaluation_interval": case.step,
        "group_eval_order": [group["name"] for each in groups for group in each],
        "tests": tests,
    }
    file.write_text(yaml.safe_dump(content))

    done = subprocess.run([str(PROMTOOL), "test", "rules", file], capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    assert {case.alert for case in CASES} == {alert["alert"] for alert in queries.alerts()}


def test_promtool_accepts_the_example() -> None:
    command = [str(PROMTOOL), "check", "config", str(queries.PROMETHEUS / "prometheus.yml")]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr
