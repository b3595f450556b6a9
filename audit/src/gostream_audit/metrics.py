"""What the audit says to Prometheus."""

from prometheus_client import Counter, Histogram

STALENESS = Histogram(
    "gostream_audit_staleness_seconds",
    "From hearing of a commit until a replica was seen to answer it, at most",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10),
)
INCONSISTENT = Counter(
    "gostream_audit_inconsistent",
    "Changes that a replica did not answer within the tolerance although the database has them",
    ["replica"],
)
AUDITED = Counter("gostream_audit_changes", "Changes that were followed to their end")
SKIPPED = Counter("gostream_audit_skipped", "Changes left out: more came than are followed at once")
UNANSWERED = Counter("gostream_audit_unanswered", "Questions that a replica did not answer", ["replica"])
