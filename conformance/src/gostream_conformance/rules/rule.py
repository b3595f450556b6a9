"""The types of rules and findings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gostream_conformance.tree.presentation import Presentation


class Severity(StrEnum):
    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, slots=True)
class Finding:
    """A place (file, line or byte) that breaks a rule, and the reason with its figures."""

    where: str
    why: str


Check = Callable[[Presentation], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. A bare number in `source` is a section of Apple's HLS Authoring Specification."""

    id: str
    source: str
    severity: Severity
    says: str
    check: Check


class RuleBook:
    """Collects the rules of a module in source order."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def must(self, rule_id: str, source: str, says: str) -> Callable[[Check], Check]:
        return self._rule(rule_id, source, Severity.MUST, says)

    def should(self, rule_id: str, source: str, says: str) -> Callable[[Check], Check]:
        return self._rule(rule_id, source, Severity.SHOULD, says)

    def _rule(self, rule_id: str, source: str, severity: Severity, says: str) -> Callable[[Check], Check]:
        def register(check: Check) -> Check:
            self.rules.append(Rule(rule_id, source, severity, says, check))
            return check

        return register
