"""Where Redis is and how to log in: the meaning of REDIS_URL."""

import enum
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr

from gostream_shared.config_types import join_address, parse_host

_SCHEME = re.compile(r"(redis|rediss)(?:\+(sentinel|cluster))?://", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_FORMS = (
    "redis://user:password@host:port/db, redis+sentinel://host1,host2/service or "
    "redis+cluster://host1,host2, each also with rediss for TLS"
)
#: Variables that a REDIS_URL replaces, and the ones that it may leave to them.
_PLACE = ("redis_host", "redis_port", "redis_db", "redis_tls")
_LOGIN = ("redis_username", "redis_password")
_SENTINELS = ("redis_sentinel_username", "redis_sentinel_password")
_SAID_TWICE = "must not be set, because REDIS_URL says it; remove one of them"


class Topology(enum.StrEnum):
    """Who answers commands at the addresses of a target."""

    SINGLE = "single"  # one server, or a proxy in front of the primary
    SENTINEL = "sentinel"  # sentinels, which name the primary
    CLUSTER = "cluster"  # some nodes of a Redis Cluster, which name all nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTarget:
    """The address of Redis. `str` is without secrets."""

    topology: Topology = Topology.SINGLE
    addresses: tuple[tuple[str, int], ...]
    service: str = ""  # the name of the primary for sentinels
    database: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: bool = False

    def __str__(self) -> str:
        places = ",".join(join_address(*each) for each in self.addresses)
        if self.topology is Topology.SENTINEL:
            return f"{self.service} of the sentinels {places}, database {self.database}"
        return (
            f"cluster {places}"
            if self.topology is Topology.CLUSTER
            else f"{places}, database {self.database}"
        )


def parse_redis_url(url: str) -> RedisTarget:
    """Returns the target of a URL. Raises ValueError with a message that does not quote it."""
    scheme = _SCHEME.match(url)
    if not scheme:
        raise ValueError(f"must be {_FORMS}")
    authority, _, path = url[scheme.end() :].partition("/")
    login, _, hosts = authority.rpartition("@")
    if "@" in login + path:
        raise ValueError("must have a percent-encoded user and password: @ is %40, / is %2F")
    if re.search(r"[?#\x00-\x20\x7f]", url):
        raise ValueError(
            "must have no ?, # or space: other settings are variables, and ? in a password is %3F"
        )
    topology = Topology(scheme[2] or "single")
    service, path = _service(path) if topology is Topology.SENTINEL else ("", path)
    addresses = _addresses(hosts, 26379 if topology is Topology.SENTINEL else 6379)
    if topology is Topology.SINGLE and len(addresses) > 1:
        raise ValueError("must name one host; several are for redis+sentinel:// and redis+cluster://")
    user, _, password = login.partition(":")
    return RedisTarget(
        topology=topology,
        addresses=addresses,
        service=service,
        database=_database(path, topology),
        username=unquote(user),
        password=unquote(password),
        tls=scheme[1] == "rediss",
    )


def _service(path: str) -> tuple[str, str]:
    name, _, rest = path.partition("/")
    if not _SERVICE.fullmatch(name):
        raise ValueError(
            "must end with the service that the sentinels watch: redis+sentinel://host1,host2/service"
        )
    return name, rest


def _database(path: str, topology: Topology) -> int:
    if not re.fullmatch(r"[0-9]{0,4}", path, re.ASCII):
        raise ValueError("must end with a database number between 0 and 9999, or none")
    if topology is Topology.CLUSTER and int(path or 0):
        raise ValueError("must have no database number but 0, because a Redis Cluster has no other")
    return int(path or 0)


def _addresses(hosts: str, port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_address(each, port) for each in hosts.split(","))


def _address(text: str, usual: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text, re.ASCII)
    if not found or not 0 < int(found[2] or usual) <= 65535:
        raise ValueError(
            "must have hosts with a port between 1 and 65535, and brackets around IPv6 addresses"
        )
    return parse_host(found[1]), int(found[2] or usual)


def clashes(given: Collection[str], url: str) -> dict[str, str]:
    """Returns the set variables that `url` says too or makes useless, each with one sentence.

    `given` has the names of the fields that are set. An invalid URL is reported by its own field.
    """
    try:
        target = parse_redis_url(url) if url else None
    except ValueError:
        return {}
    said: tuple[str, ...] = ()
    if target is not None:
        said = (*_PLACE, *_LOGIN) if target.username or target.password else _PLACE
    unused = _SENTINELS if target is None or target.topology is not Topology.SENTINEL else ()
    return {name.upper(): _SAID_TWICE for name in said if name in given} | {
        name.upper(): "has no effect without a REDIS_URL of sentinels" for name in unused if name in given
    }


def _redis_url(secret: SecretStr) -> SecretStr:
    parse_redis_url(secret.get_secret_value())
    return secret


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
