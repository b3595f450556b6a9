"""The epoch that entries in Redis are read under; a failover raises it, and older entries are unreachable."""

from dataclasses import dataclass

from gostream_shared.cache.protocol import CacheUnavailableError


@dataclass(slots=True)
class Namespace:
    """The epoch as this process knows it; None while it is being looked up."""

    known: int | None = None

    @property
    def epoch(self) -> int:
        """Raises CacheUnavailableError while the epoch is not known: nothing in Redis can be trusted then."""
        if self.known is None:
            raise CacheUnavailableError("the cache's epoch is being looked up")
        return self.known
