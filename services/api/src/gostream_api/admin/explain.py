"""The use case of ExplainVideo."""

from dataclasses import dataclass
from uuid import UUID

from gostream_api.admin.causes import Verdict
from gostream_api.admin.gathering import Gatherer
from gostream_api.admin.listing import Line, lines
from gostream_api.admin.verdict import judge
from gostream_api.principal import Principal


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a video is in its state, and the facts that tell it."""

    verdict: Verdict
    lines: list[Line]


class ExplainService:
    """Explains videos of every owner. The caller's scope was checked before."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def explain_video(self, caller: Principal, video_id: UUID) -> Explanation:
        """Returns the explanation. Raises VideoNotFoundError."""
        facts = await self._gatherer.facts(caller, video_id)
        return Explanation(judge(facts), list(lines(facts)))
