"""What people read about the fields of a configuration: their errors, bounds and defaults."""

from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gostream_shared.config_types import format_duration


def sentence(error: Any, field: FieldInfo) -> str:
    """Returns one sentence for an error of pydantic."""
    kind = error["type"]
    if kind == "missing":
        return "is not set"
    if kind == "literal_error":
        return f"must be {error['ctx']['expected'].replace(chr(39), '')}"
    if kind.startswith("bool_"):
        return "must be true or false"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"must be {_range(field)}"
    if kind.startswith("float_"):
        return f"must be a number {_range(field)}"
    if kind.startswith("int_"):
        return f"must be a whole number {_range(field)}"
    return str(error["msg"]).removeprefix("Value error, ")


def bounds(field: FieldInfo) -> tuple[Any, Any]:
    """Returns the smallest and the largest value of a number or a duration."""
    low = next(each.ge for each in field.metadata if hasattr(each, "ge"))
    high = next(each.le for each in field.metadata if hasattr(each, "le"))
    return low, high


def _range(field: FieldInfo) -> str:
    low, high = bounds(field)
    return f"between {shown(low)} and {shown(high)}"


def shown(value: object) -> str:
    """Returns a default as text. Secrets are not shown."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, SecretStr):
        return "empty"
    return "unset" if value is None else str(value)
