"""The report of a check."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from gostream_conformance.rules.rule import Finding, Rule, Severity
from gostream_conformance.tree.presentation import Presentation

MAX_FINDINGS = 50  # per rule: a thousand segments with the same fault are one fault


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule with at most MAX_FINDINGS findings, and the number of further findings."""

    rule: Rule
    findings: tuple[Finding, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of every rule, in the order of the rules."""

    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """True if no MUST rule is broken."""
        return not self.broken(Severity.MUST)

    def broken(self, severity: Severity) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.findings and o.rule.severity is severity)

    def document(self) -> dict[str, object]:
        """Returns the report as a JSON document."""
        return {
            "passed": self.passed,
            "rules": [
                {
                    "id": outcome.rule.id,
                    "source": outcome.rule.source,
                    "severity": outcome.rule.severity.value,
                    "says": outcome.rule.says,
                    "passed": not outcome.findings,
                    "findings": [{"where": f.where, "why": f.why} for f in outcome.findings],
                    "more": outcome.more,
                }
                for outcome in self.outcomes
            ],
        }


def judge(presentation: Presentation, rules: Iterable[Rule]) -> Report:
    """Apply the rules to a presentation."""
    return Report(tuple(_outcome(rule, presentation) for rule in rules))


def _outcome(rule: Rule, presentation: Presentation) -> Outcome:
    findings = rule.check(presentation)
    return Outcome(rule, tuple(islice(findings, MAX_FINDINGS)), sum(1 for _ in findings))
