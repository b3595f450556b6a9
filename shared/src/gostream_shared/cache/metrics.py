"""Prometheus metrics of the cache."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "gostream_cache_requests",
    "Lookups by layer (l1, l2) and result",
    ["layer", "result"],
)
STALE_FILLS = Counter(
    "gostream_stale_fill_rejected",
    "Fills that Redis rejected because the value may be out of date",
    ["reason"],
)
L1_FILLS_REJECTED = Counter(
    "gostream_l1_fill_rejected",
    "L1 fills rejected because of an invalidation between the read and the fill",
)
FLIGHTS = Counter("gostream_flight", "Callers of shared loads: leader, joined, cancelled", ["role"])
DB_LOADS = Counter("gostream_db_loads", "Database queries that loaded videos after a cache miss")
UNANNOUNCED = Gauge(
    "gostream_unannounced_videos",
    "Videos with a committed version that is not announced to Redis, whose older entries are not trusted",
)
REFUSED = Counter(
    "gostream_redis_refused", "Commands that Redis answered with an error, by class", ["reason"]
)
REDIS_ERRORS = Counter("gostream_redis_errors", "Redis calls that failed or were rejected", ["operation"])
ANNOUNCE_FAILED = Counter("gostream_announce_failed", "Changes left for the outbox relay")
RELAYED = Counter("gostream_outbox_relayed", "Changes announced by the outbox relay")

BUS_GAPS = Counter("gostream_bus_gap", "Times that bus messages were lost or may have been lost", ["reason"])
BUS_EPOCH = Gauge("gostream_bus_epoch", "Number of times that L1 was cleared")
BUS_LIVE = Gauge("gostream_bus_live", "1 while L1 entries may be served")
NAMESPACE_EPOCH = Gauge("gostream_cache_namespace_epoch", "Epoch of the entries in Redis")
STALENESS = Histogram(
    "gostream_cache_staleness_seconds",
    "From an invalidation in Redis to its effect in this process",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 3, 10),
)
