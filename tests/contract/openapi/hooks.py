"""Gives existing videos to the requests of schemathesis; test_cases.py names this module to it."""

import json
import os
import random
import re
from typing import Any

import schemathesis

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VIDEOS: dict[str, list[str]] = json.loads(os.environ["GOSTREAM_CASE_IDS"])
_CHOICE = random.Random(1)


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Replaces three of four valid ids, and all ids of a watch, which ends for FAILED videos only."""
    parameters, pool = case.path_parameters or {}, _pool(case.operation)
    if _ID.fullmatch(str(parameters.get("id"))):
        is_watch = case.operation.path.endswith(":watch")
        if is_watch or _CHOICE.random() < 0.75:
            parameters["id"] = _CHOICE.choice(pool)
    if case.query and isinstance(ids := case.query.get("ids"), list):
        case.query["ids"] = [_CHOICE.choice(pool) if _ID.fullmatch(str(each)) else each for each in ids]


def _pool(operation: Any) -> list[str]:
    """Returns the videos for an operation. They are used for deletions only."""
    if operation.path.endswith(":watch"):
        return _VIDEOS["failed"]
    if operation.method.upper() == "DELETE":
        return _VIDEOS["new"][30:]
    return [*_VIDEOS["failed"], *_VIDEOS["new"][:30]]
