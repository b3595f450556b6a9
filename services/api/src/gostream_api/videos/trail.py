"""The entries of the trail: who has called which write, from where, and what it has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from gostream_api.principal import Principal
from gostream_shared.domain.trail import Outcome, TrailEntry

#: Reasons of UNCHANGED: an earlier request did the same, or the video had these values.
SAME_REQUEST, SAME_VALUES = "SAME_REQUEST", "SAME_VALUES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a call comes from: the id in its log lines, and the address of its client."""

    request_id: str
    peer: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a write method."""

    method: str
    caller: Principal
    origin: Origin

    def changed(self, video_id: UUID, values: Mapping[str, str | int | bool]) -> TrailEntry:
        """Returns the entry of a call that wrote these values. They must not contain free text."""
        return self._entry(video_id, Outcome.CHANGED, "", values)

    def changed_webhook(self, webhook_id: UUID, values: Mapping[str, str | int | bool]) -> TrailEntry:
        """As `changed`, for a webhook."""
        entry = self._entry(None, Outcome.CHANGED, "", values)
        return replace(entry, webhook_id=webhook_id)

    def unchanged(self, video_id: UUID, reason: str) -> TrailEntry:
        """Returns the entry of a call that found its work done."""
        return self._entry(video_id, Outcome.UNCHANGED, reason, {})

    def _entry(
        self, video_id: UUID | None, outcome: Outcome, reason: str, values: Mapping[str, str | int | bool]
    ) -> TrailEntry:
        return TrailEntry(
            principal=self.caller.id,
            kind=self.caller.kind.value,
            issuer=self.caller.issuer,
            peer=self.origin.peer,
            request_id=self.origin.request_id,
            method=self.method,
            video_id=video_id,
            outcome=outcome,
            reason=reason,
            changed=values,
        )
