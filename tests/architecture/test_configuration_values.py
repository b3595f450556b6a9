"""Every variable of every service refuses what can never work, in one sentence and without a traceback."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gostream_api.config import ApiConfig
from gostream_audit.app import AuditConfig
from gostream_shared.config import Config, ConfigError, load
from gostream_shared.config_text import bounds
from gostream_worker.config import WorkerConfig

KINDS = (ApiConfig, AuditConfig, WorkerConfig)
GIVEN = {"DATABASE_URL": "postgresql://app@localhost/app"}
FIELDS = [(kind, name) for kind in KINDS for name in kind.model_fields]
RANGED = [(kind, name) for kind, name in FIELDS if kind.model_fields[name].annotation in (int, timedelta)]
OF_A_FIELD = pytest.mark.parametrize(
    ("kind", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value)
)
OF_A_RANGE = pytest.mark.parametrize(
    ("kind", "name"), RANGED, ids=lambda value: getattr(value, "__name__", value)
)


def written(value: Any) -> str:
    return f"{value.total_seconds():.3f}s" if isinstance(value, timedelta) else str(value)


@OF_A_RANGE
def test_both_ends_of_the_range_are_accepted(kind: type[Config], name: str) -> None:
    for value in bounds(kind.model_fields[name]):
        others = {"METRICS_PORT": "0"} if name == "api_processes" else {}  # its ports would end beyond 65535

        assert getattr(load(kind, GIVEN | others | {name.upper(): written(value)}), name) == value


@OF_A_RANGE
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_is_out_of_range_is_refused(kind: type[Config], name: str, data: st.DataObject) -> None:
    low, high = bounds(kind.model_fields[name])
    if isinstance(low, timedelta):
        above = st.floats(high.total_seconds() + 1, 1e15).map(lambda seconds: f"{seconds:.0f}s")
        below = st.just("0s") if low else st.just("-1s")
    else:
        above, below = st.integers(high + 1).map(str), st.integers(max_value=low - 1).map(str)

    assert refusal(kind, name, data.draw(above | below))


@OF_A_FIELD
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40))
def test_any_text_is_accepted_or_refused_in_words(kind: type[Config], name: str, text: str) -> None:
    refusal(kind, name, text)


def refusal(kind: type[Config], name: str, text: str) -> str:
    """Returns the error for that value, empty if it is accepted."""
    try:
        load(kind, GIVEN | {name.upper(): text})
    except ConfigError as error:
        message = str(error)
        assert any(message.startswith(f"{each.upper()}: ") for each in kind.model_fields)
        assert "Input should" not in message
        assert "\n" not in message.removeprefix(f"{name.upper()}: ").replace(text, "")
        return message
    return ""
