"""Tokens of positions in the event log."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_api.events.tokens import page_position_of, page_token, position_of, resume_token
from gostream_shared.domain.companions.errors import ResumeTokenInvalidError
from gostream_shared.domain.companions.events import EventFilter, EventPosition
from gostream_shared.domain.errors import PageTokenInvalidError

_NUMBERS = st.integers(0, 2**63 - 1)
POSITIONS = st.builds(EventPosition, _NUMBERS, _NUMBERS)
FILTERS = [
    EventFilter(),
    EventFilter(user_id=""),
    EventFilter(user_id="alice"),
    EventFilter(types=frozenset({"video.ready"})),
    EventFilter(video_id=UUID(int=1)),
    EventFilter(since=datetime(2026, 1, 1, tzinfo=UTC)),
]


@given(POSITIONS)
def test_tokens_lead_back_to_their_position(position: EventPosition) -> None:
    assert position_of(resume_token(position)) == position
    for which in FILTERS:
        assert page_position_of(page_token(position, which), which) == position


@given(POSITIONS, st.integers(0, 31), st.sampled_from("ABCxyz019-_"))
def test_altered_tokens_are_refused(position: EventPosition, place: int, letter: str) -> None:
    token = resume_token(position)
    altered = token[:place] + letter + token[place + 1 :]
    if altered != token:
        with pytest.raises(ResumeTokenInvalidError):
            position_of(altered)


@given(st.text(max_size=64))
def test_any_text_is_no_token(text: str) -> None:
    with pytest.raises(ResumeTokenInvalidError):
        position_of(text)


def test_page_tokens_belong_to_their_filter() -> None:
    position = EventPosition(7, 8)
    for which in FILTERS:
        for other in FILTERS:
            if other != which:
                with pytest.raises(PageTokenInvalidError):
                    page_position_of(page_token(position, which), other)
    with pytest.raises(PageTokenInvalidError):
        page_position_of(resume_token(position), EventFilter())
    with pytest.raises(ResumeTokenInvalidError):
        position_of(page_token(position, EventFilter()))
