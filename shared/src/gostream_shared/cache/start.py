"""Checks Redis at the start, so that a wrong password is reported at once."""

import asyncio

import structlog
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from gostream_shared.cache.redis_connection import HARD_TIMEOUT, redis_client
from gostream_shared.config import Config
from gostream_shared.config_types import join_address
from gostream_shared.domain.errors import BackendRefusedError

BACKEND = "Redis server"
_log = structlog.stdlib.get_logger("gostream.backend")


async def check_redis(config: Config) -> None:
    """Log in and PING. Raises BackendRefusedError if the password or the database number is wrong.

    Any other failure is only logged: the service works without Redis, but slower.
    """
    server = f"{join_address(config.redis_host, config.redis_port)}, database {config.redis_db}"
    try:
        async with redis_client(config, connections=1) as client, asyncio.timeout(2 * HARD_TIMEOUT):
            await client.ping()
    except (RedisError, OSError) as error:
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        if _is_refusal(error):
            raise BackendRefusedError(BACKEND, f"{server}: {cause}") from error
        _log.warning("backend failed", backend=BACKEND, server=server, cause=cause)


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return True
    return isinstance(error, ResponseError) and "DB index is out of range" in str(error)
