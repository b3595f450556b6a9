"""The trail: which caller has changed which video."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID


class Outcome(enum.StrEnum):
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"  # the call succeeded, but found its work done


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEntry:
    """One successful call of a write method, on a video or a webhook.

    `changed` has new values of columns. It never contains free text, tokens or URLs. `reason` reports why
    nothing changed.
    """

    principal: str
    kind: str
    issuer: str
    peer: str
    request_id: str
    method: str
    video_id: UUID | None
    webhook_id: UUID | None = None
    outcome: Outcome
    reason: str = ""
    changed: Mapping[str, str | int | bool] = field(default_factory=dict)


class Trail(Protocol):
    """The rows about writes. Every method raises BackendUnavailableError."""

    async def add(self, entry: TrailEntry) -> None:
        """Insert an entry, with the owner of its video. If this fails, the transaction must fail."""
        ...

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        """Delete at most `limit` of the entries that are older than this. Returns their number."""
        ...
