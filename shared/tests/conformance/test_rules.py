from pathlib import Path

import pytest

from gostream_shared.conformance.check import check
from gostream_shared.conformance.report import Report
from gostream_shared.conformance.rules import ALL
from gostream_shared.conformance.sources import DirectorySource

from .defects import DEFECTS, Defect

OVER_HTTP = {"whole.media-types", "whole.gzip", "whole.cors", "whole.no-redirects"}


def broken(report: Report) -> set[str]:
    return {outcome.rule.id for outcome in report.outcomes if outcome.findings}


async def test_a_good_tree_breaks_no_rule(good_tree: Path) -> None:
    report = await check(DirectorySource(good_tree))
    assert broken(report) == set()
    assert report.passed
    assert len(report.outcomes) == len(ALL)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
async def test_a_planted_defect_is_found_and_nothing_else_is_accused(tree: Path, defect: Defect) -> None:
    defect.spoil(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == {defect.rule} | defect.also, [
        (o.rule.id, f.where, f.why) for o in report.outcomes for f in o.findings
    ]


def test_every_rule_has_a_planted_defect() -> None:
    assert {rule.id for rule in ALL} == {defect.rule for defect in DEFECTS} | OVER_HTTP
    assert len({rule.id for rule in ALL}) == len(ALL)
