"""Sentinels and a cluster for these tests."""

from tests.support.servers.redis_topologies import make_redis_cluster, watched

__all__ = ["make_redis_cluster", "watched"]
