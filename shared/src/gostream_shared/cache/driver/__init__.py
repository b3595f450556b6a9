"""The driver of Redis, imported here first: without its metrics, which nothing uses.

It imports OpenTelemetry's metrics where they are installed, which costs each start 40 ms and 3 MiB.
"""

import sys
from typing import Any

_METRICS = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")
_modules: dict[str, Any] = sys.modules
_hidden = [name for name in _METRICS if name not in _modules]
_modules.update(dict.fromkeys(_hidden))  # None: an import raises ModuleNotFoundError
try:
    from redis.asyncio import ConnectionPool, Redis
finally:
    for _name in _hidden:
        del _modules[_name]

__all__ = ["ConnectionPool", "Redis"]
