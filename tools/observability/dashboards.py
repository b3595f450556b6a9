"""The three dashboards of Grafana."""

from tools.observability.objectives import WINDOWS
from tools.observability.panels import Board, Chart, quantile, rate, text


def _burn(names: str) -> Chart:
    """Returns a chart of how fast error budgets are used: at 1, exactly the budget is used."""
    selector = f'{{slo=~"{names}"}}'
    return Chart(
        title="Use of error budgets",
        unit="none",
        text="Bad events divided by the budget. 1 uses exactly the budget; the fast alert is at 14.4 and 6.",
        queries={
            f"{{{{slo}}}} {window}": (
                f"gostream:slo_bad:increase{window}{selector} / gostream:slo_total:increase{window}{selector}"
                f" / gostream:slo_budget{selector}"
            )
            for window in WINDOWS
            if window in {"1h", "6h", "3d"}
        },
    )


API = Board(
    name="gostream-api",
    title="GoStream: API and cache",
    rows={
        "Objectives": [
            _burn("reads-.*|writes-.*"),
            Chart(
                title="Calls by code",
                unit="reqps",
                queries={"{{code}}": rate("gostream_rpc_handled_total", "code")},
            ),
            Chart(
                title="Running calls and streams",
                unit="short",
                queries={"{{method}}": "sum by (method) (gostream_rpc_in_flight)"},
            ),
        ],
        "Calls": [
            Chart(
                title="Calls by method",
                unit="reqps",
                queries={"{{method}}": rate("gostream_rpc_handled_total", "method")},
            ),
            Chart(
                title="99th percentile by method, without hits of L1",
                unit="s",
                queries={"{{method}}": quantile(0.99, "gostream_rpc_duration_seconds", "method")},
            ),
            Chart(
                title="Rates counted by each process alone; fetches of keys",
                unit="short",
                queries={
                    "degraded {{instance}}": "gostream_ratelimit_degraded",
                    "keys {{issuer}} {{result}} a second": rate(
                        "gostream_jwks_fetches_total", "issuer, result"
                    ),
                },
            ),
        ],
        "Cache": [
            Chart(
                title="Look-ups by layer and result",
                unit="reqps",
                queries={"{{layer}} {{result}}": rate("gostream_cache_requests_total", "layer, result")},
            ),
            Chart(
                title="Loads from PostgreSQL, and callers of shared loads",
                unit="reqps",
                queries={
                    "queries": rate("gostream_db_loads_total"),
                    "{{role}}": rate("gostream_flight_total", "role"),
                },
            ),
            Chart(
                title="From an invalidation to its effect",
                unit="s",
                queries={
                    "p50": quantile(0.5, "gostream_cache_staleness_seconds"),
                    "p99": quantile(0.99, "gostream_cache_staleness_seconds"),
                },
            ),
        ],
        "Invalidations": [
            Chart(
                title="Bus",
                unit="short",
                queries={
                    "live {{instance}}": (
                        "gostream_bus_live unless on (job, instance) gostream_worker_has_room"
                    ),
                    "gaps a second {{reason}}": rate("gostream_bus_gap_total", "reason"),
                    "L1 cleared {{instance}}": "gostream_bus_epoch > 0",
                    "epoch of Redis {{instance}}": "gostream_cache_namespace_epoch > 0",
                },
            ),
            Chart(
                title="Fills rejected",
                unit="reqps",
                queries={
                    "L2 {{reason}}": rate("gostream_stale_fill_rejected_total", "reason"),
                    "L1": rate("gostream_l1_fill_rejected_total"),
                },
            ),
            Chart(
                title="Announcements",
                unit="short",
                queries={
                    "unannounced {{instance}}": "gostream_unannounced_videos",
                    "left to the relay a second": rate("gostream_announce_failed_total"),
                    "relayed a second": rate("gostream_outbox_relayed_total"),
                },
            ),
            Chart(
                title="Errors of Redis",
                unit="reqps",
                queries={
                    "refused {{reason}}": rate("gostream_redis_refused_total", "reason"),
                    "failed {{operation}}": rate("gostream_redis_errors_total", "operation"),
                },
            ),
        ],
        "Audit": [
            Chart(
                title="Changes",
                unit="reqps",
                queries={
                    "followed": rate("gostream_audit_changes_total"),
                    "skipped": rate("gostream_audit_skipped_total"),
                    "inconsistent {{replica}}": rate("gostream_audit_inconsistent_total", "replica"),
                    "unanswered {{replica}}": rate("gostream_audit_unanswered_total", "replica"),
                },
            ),
            Chart(
                title="From a commit to the first read that returned it",
                unit="s",
                queries={"p99": quantile(0.99, "gostream_audit_staleness_seconds")},
            ),
        ],
    },
)

WORKER = Board(
    name="gostream-worker",
    title="GoStream: worker and queue",
    rows={
        "Objectives": [
            _burn("encodes-.*"),
            Chart(
                title="Running",
                unit="short",
                queries={
                    "encodes": "sum(gostream_worker_in_flight)",
                    "chunks": "sum(gostream_worker_chunks_in_flight)",
                    "publications": "sum(gostream_worker_finishing)",
                    "fetches": "sum(gostream_worker_fetches_in_flight)",
                },
            ),
            Chart(
                title="Space for an encode",
                unit="short",
                queries={"{{instance}}": "gostream_worker_has_room"},
            ),
        ],
        "Jobs": [
            Chart(
                title="Waiting jobs",
                unit="short",
                queries={"{{kind}}": "max by (kind) (gostream_worker_jobs_waiting)"},
            ),
            Chart(
                title="Longest wait",
                unit="s",
                queries={"{{kind}}": "max by (kind) (gostream_worker_longest_wait_seconds)"},
            ),
            Chart(
                title="Ended jobs",
                unit="reqps",
                queries={"{{kind}} {{outcome}}": rate("gostream_worker_jobs_total", "kind, outcome")},
            ),
            Chart(
                title="Attempts and failures",
                unit="reqps",
                queries={
                    "started": rate("gostream_worker_attempts_total"),
                    "failed {{code}}": rate("gostream_worker_failures_total", "code"),
                },
            ),
        ],
        "Encodes": [
            Chart(
                title="From the claim to READY",
                unit="s",
                queries={
                    "p50": quantile(0.5, "gostream_worker_encode_seconds"),
                    "p99": quantile(0.99, "gostream_worker_encode_seconds"),
                },
            ),
            Chart(
                title="Steps of films in chunks",
                unit="s",
                queries={
                    "chunk p50": quantile(0.5, "gostream_worker_chunk_seconds"),
                    "chunk p99": quantile(0.99, "gostream_worker_chunk_seconds"),
                    "publication p99": quantile(0.99, "gostream_worker_finish_seconds"),
                },
            ),
            Chart(
                title="Media seconds encoded per second",
                unit="none",
                queries={"p50": quantile(0.5, "gostream_worker_encoder_speed")},
            ),
            Chart(
                title="From the claim of a fetch to its last byte",
                unit="s",
                queries={"p99": quantile(0.99, "gostream_worker_fetch_seconds")},
            ),
        ],
        "Webhooks": [
            Chart(
                title="Tries of deliveries",
                unit="reqps",
                queries={"{{outcome}}": rate("gostream_worker_webhook_deliveries_total", "outcome")},
            ),
            Chart(
                title="Until a receiver has answered",
                unit="s",
                queries={"p99": quantile(0.99, "gostream_worker_webhook_seconds")},
            ),
        ],
        "Object store": [
            Chart(
                title="Bytes",
                unit="Bps",
                queries={
                    "uploaded": rate("gostream_worker_uploaded_bytes_total"),
                    "fetched": rate("gostream_worker_fetched_bytes_total"),
                },
            ),
            Chart(
                title="Removed",
                unit="reqps",
                queries={
                    "objects": rate("gostream_worker_removed_objects_total"),
                    "orphaned uploads": rate("gostream_worker_orphaned_uploads_total"),
                    "videos without upload": rate("gostream_worker_abandoned_videos_total"),
                    "expired videos": rate("gostream_worker_expired_videos_total"),
                },
            ),
            Chart(
                title="Sandboxes",
                unit="short",
                queries={
                    "Landlock ABI {{landlock_abi}}, seccomp {{seccomp}}": (
                        "count by (landlock_abi, seccomp) (gostream_worker_sandbox_info)"
                    )
                },
            ),
        ],
    },
)

_EDGE = 'envoy_http_conn_manager_prefix="edge"'

EDGE = Board(
    name="gostream-edge",
    title="GoStream: edge",
    rows={
        "Takedowns": [
            _burn("takedowns-.*"),
            Chart(
                title="From the change of a video to its gate",
                unit="s",
                queries={
                    "p50": quantile(0.5, "gostream_gate_lag_seconds"),
                    "p99": quantile(0.99, "gostream_gate_lag_seconds"),
                },
            ),
            Chart(
                title="Gates that were not examined",
                unit="short",
                queries={"changes": "max(gostream_worker_gate_changes_waiting)"},
            ),
        ],
        "Playback": [
            Chart(
                title="Refreshes of master playlists",
                unit="reqps",
                queries={"{{outcome}}": rate("gostream_worker_edge_refreshes_total", "outcome")},
            ),
            Chart(
                title="Validity of certificates",
                unit="s",
                queries={"{{job}} {{instance}}": "(gostream_tls_not_after_seconds > 0) - time()"},
            ),
        ],
        "What viewers see": [
            Chart(
                title="Startup",
                unit="s",
                queries={
                    "p50 {{top}}": quantile(0.5, "gostream_qoe_startup_seconds", "top"),
                    "p95 {{top}}": quantile(0.95, "gostream_qoe_startup_seconds", "top"),
                },
            ),
            Chart(
                title="Waits per request of media, 95th percentile",
                unit="percentunit",
                queries={"{{top}}": quantile(0.95, "gostream_qoe_rebuffer_ratio", "top")},
            ),
            Chart(
                title="Throughput of players, median",
                unit="Kbits",
                queries={"{{top}}": quantile(0.5, "gostream_qoe_throughput_kbps", "top")},
            ),
            Chart(
                title="Sessions",
                unit="short",
                queries={
                    "active": "sum(gostream_qoe_active_sessions)",
                    "begun {{top}}": "sum by (top) (increase(gostream_qoe_sessions_total[1m]))",
                },
            ),
        ],
        "Envoy": [
            Chart(
                title="Responses by class",
                unit="reqps",
                queries={
                    "{{envoy_response_code_class}}xx": rate(
                        f"envoy_http_downstream_rq_xx{{{_EDGE}}}", "envoy_response_code_class"
                    )
                },
            ),
            Chart(
                title="99th percentile of requests and streams",
                unit="ms",
                queries={
                    "p99": (
                        "histogram_quantile(0.99, sum by (le) "
                        f"(rate(envoy_http_downstream_rq_time_bucket{{{_EDGE}}}[$__rate_interval])))"
                    )
                },
            ),
            Chart(
                title="Connections, and healthy replicas",
                unit="short",
                queries={
                    "connections": f"sum(envoy_http_downstream_cx_active{{{_EDGE}}})",
                    "healthy {{envoy_cluster_name}}": (
                        "min by (envoy_cluster_name) (envoy_cluster_membership_healthy)"
                    ),
                },
            ),
            Chart(
                title="Retries, and requests above a rate",
                unit="reqps",
                queries={
                    "retries": rate("envoy_cluster_upstream_rq_retry"),
                    "refused": rate("envoy_http_local_rate_limit_rate_limited"),
                },
            ),
        ],
    },
)


def dashboards() -> dict[str, str]:
    """Returns the JSON of every dashboard by the name of its file."""
    return {board.name: text(board) for board in (API, WORKER, EDGE)}
