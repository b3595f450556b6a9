"""A hot standby of a PostgreSQL server, by streaming replication."""

from gostream_devstack.host.directories import Directories
from gostream_devstack.servers.postgres import Postgres


class Standby(Postgres):
    """Copies `primary` at its first start, then replays its changes until `promote`."""

    def __init__(self, directories: Directories, primary: Postgres, port: int, name: str) -> None:
        super().__init__(directories, port, primary.password, name=name)
        self._primary = primary

    def prepare(self) -> None:
        """Runs pg_basebackup once."""
        data = self.directory / "data"
        (data / "postmaster.pid").unlink(missing_ok=True)
        if not data.exists():
            copy = ("-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", str(data))
            source = self._primary.url_of("postgres", "postgres")
            self.run(str(self.programs / "pg_basebackup"), *copy, "-d", source)

    def settle(self) -> None:
        """The primary has created everything."""

    def promote(self) -> None:
        """Ends the recovery. Returns once writes are accepted."""
        self.execute("SELECT pg_promote(wait => true, wait_seconds => 60)")
