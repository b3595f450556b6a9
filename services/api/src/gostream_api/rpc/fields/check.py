"""Collects the violations of a request."""

from dataclasses import dataclass, field

from gostream_api.rpc import text
from gostream_shared.domain.errors import InvalidRequestError, Violation


@dataclass(slots=True)
class Check:
    """Collects violations."""

    violations: list[Violation] = field(default_factory=list)

    def that(self, holds: bool, name: str, description: str) -> None:
        if not holds:
            self.violations.append(Violation(name, description))

    def text(self, value: str, name: str, *, at_most: int) -> None:
        self.that(len(value) <= at_most, name, f"must have at most {at_most} characters")
        self.that(not text.has_control(value), name, "must not contain control characters")
        self.that(not text.has_invisible(value), name, "must not contain invisible or reordering characters")

    def end(self) -> None:
        """Raise InvalidRequestError if there are violations."""
        if self.violations:
            raise InvalidRequestError(*self.violations)
