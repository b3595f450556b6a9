"""Prometheus metrics of the audit."""

from prometheus_client import Counter, Histogram

STALENESS = Histogram(
    "gostream_audit_staleness_seconds",
    "Upper bound of the time from the notification of a commit until a replica returned it",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10),
)
INCONSISTENT = Counter(
    "gostream_audit_inconsistent",
    "Changes that a replica did not return within the tolerance although the database has them",
    ["replica"],
)
AUDITED = Counter("gostream_audit_changes", "Changes that were followed to the end")
SKIPPED = Counter("gostream_audit_skipped", "Changes skipped because too many were followed at once")
UNANSWERED = Counter("gostream_audit_unanswered", "Reads that a replica did not answer", ["replica"])
