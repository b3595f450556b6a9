"""The real servers of a benchmark, in a temporary directory."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.valkey import Valkey
from gostream_shared.config import Config, load
from gostream_shared.db.migrate import migrate


@dataclass(frozen=True, slots=True)
class Servers:
    """PostgreSQL, migrated and without fsync, and Valkey: one server, or a cluster named by `redis_url`."""

    database_url: str
    redis: Valkey
    redis_url: str = ""

    def environment(self, *, redis_port: int | None = None) -> dict[str, str]:
        """Variables with the servers' addresses. `redis_port`: port of a proxy to Redis."""
        one_server = {
            "REDIS_HOST": self.redis.host,
            "REDIS_PORT": str(redis_port or self.redis.port),
            "REDIS_PASSWORD": self.redis.password,
            "REDIS_DB": str(self.redis.db),
        }
        return {
            "DATABASE_URL": self.database_url,
            **({"REDIS_URL": self.redis_url} if self.redis_url else one_server),
            "REDIS_TTL": "1h",
            "S3_ENDPOINT_URL": "http://127.0.0.1:9",  # no store: reads need none
            "S3_ACCESS_KEY": "none",
            "S3_SECRET_KEY": "none",
        }

    def config(self) -> Config:
        """The same as a Config."""
        return load(Config, self.environment())


@contextmanager
def running_servers(settings: Mapping[str, str] | None = None) -> Iterator[Servers]:
    """Starts the servers on free ports, PostgreSQL with additional `settings`. Stops them after the block."""
    with tempfile.TemporaryDirectory(prefix="gostream-bench-") as root:
        home, ports, secrets = Directories.at(Path(root)), Ports({}), State().secrets
        postgres = Postgres(home, ports.pick("postgres"), secrets["postgres_password"], durable=False)
        postgres.settings |= settings or {}
        redis = Valkey(home, ports.pick("redis"), secrets["redis_password"])
        try:
            postgres.start()
            redis.start()
            asyncio.run(migrate(postgres.url))
            yield Servers(postgres.url, redis)
        finally:
            redis.stop()
            postgres.stop()
            home.remove()
