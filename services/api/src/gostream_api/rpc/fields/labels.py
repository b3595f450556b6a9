"""Labels of videos, and the labels that a listing asks for."""

import re
from collections.abc import Mapping, Sequence

from gostream_api.rpc import text
from gostream_api.rpc.fields.check import Check
from gostream_api.rpc.fields.limits import LABEL_KEY, MAX_LABEL_VALUE, MAX_LABELS, MAX_LISTED_LABELS

_KEY = re.compile(LABEL_KEY)


def labels(check: Check, given: Mapping[str, str], name: str) -> dict[str, str]:
    """Returns the labels; adds at most one violation of each kind to `check`."""
    check.that(len(given) <= MAX_LABELS, name, f"must be at most {MAX_LABELS} labels")
    if len(given) <= MAX_LABELS:
        check.that(all(map(_KEY.fullmatch, given)), name, f"keys must match {LABEL_KEY}")
        check.that(
            all(map(_is_value, given.values())),
            name,
            f"values must have at most {MAX_LABEL_VALUE} bytes and no control characters",
        )
    return dict(given)


def listed_labels(check: Check, given: Sequence[str]) -> tuple[str, ...]:
    """Returns the labels that a listing asks for, each "key=value" or "key"."""
    is_short = len(given) <= MAX_LISTED_LABELS
    check.that(is_short, "labels", f"must be at most {MAX_LISTED_LABELS} labels")
    if is_short:
        pairs = [each.partition("=") for each in given]
        check.that(
            all(_KEY.fullmatch(key) and _is_value(value) for key, _, value in pairs),
            "labels",
            f'must be "key" or "key=value": {LABEL_KEY}, and up to {MAX_LABEL_VALUE} bytes',
        )
    return tuple(sorted(set(given)))


def _is_value(value: str) -> bool:
    return len(value.encode()) <= MAX_LABEL_VALUE and not text.has_control(value)
