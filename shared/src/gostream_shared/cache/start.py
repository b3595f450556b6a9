"""Checks Redis at the start, so that a wrong password is reported at once."""

import asyncio

import structlog
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from gostream_shared.cache.driver.client import HARD_TIMEOUT
from gostream_shared.cache.redis_connection import open_servers
from gostream_shared.config import Config
from gostream_shared.domain.errors import BackendRefusedError

BACKEND = "Redis server"
_log = structlog.stdlib.get_logger("gostream.backend")


async def check_redis(config: Config) -> None:
    """Log in and ask who the server is. Raises BackendRefusedError if it refuses the login or the database.

    Any other failure is only logged: the service works without Redis, but slower.
    """
    server = str(config.redis())
    try:
        async with open_servers(config, connections=1) as servers, asyncio.timeout(2 * HARD_TIMEOUT):
            await servers.identity()
    except (RedisError, OSError) as error:
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        if _is_refusal(error):
            raise BackendRefusedError(BACKEND, f"{server}: {cause}") from error
        _log.warning("backend failed", backend=BACKEND, server=server, cause=cause)


def _is_refusal(error: Exception) -> bool:
    # The driver wraps what a connection to a sentinel raised.
    if any(isinstance(each, (AuthenticationError, AuthorizationError)) for each in (error, error.__cause__)):
        return True
    return isinstance(error, ResponseError) and "DB index is out of range" in str(error)
