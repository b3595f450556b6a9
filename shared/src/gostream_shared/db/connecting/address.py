"""Where PostgreSQL is for one process: directly, or behind a pooler of connections."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from gostream_shared.config import Config


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Two URLs of one database.

    A pooler in transaction mode gives each transaction another server connection, so statements and
    transactions may use `url`. What belongs to a session needs `direct_url`: LISTEN, session locks,
    migrations.
    """

    url: str
    direct_url: str
    is_pooled: bool = False

    @classmethod
    def of(cls, config: Config) -> Self:
        url = config.database_url.get_secret_value()
        direct = config.database_direct_url
        return cls(url, direct.get_secret_value() if direct else url, config.database_pooled)

    @classmethod
    def direct(cls, url: str) -> Self:
        """Returns the address of a database without a pooler."""
        return cls(url, url)

    @property
    def name(self) -> str:
        """Hosts, ports and database name, without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
