from pathlib import Path

import pytest

from gostream_shared.conformance.check import check
from gostream_shared.conformance.report import Report
from gostream_shared.conformance.rules import ALL
from gostream_shared.conformance.sources import DirectorySource

from .defects import DEFECTS, LEGAL, Defect, Spoil, listed
from .packets import VIDEO_PID
from .trees import write_master

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


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL.keys())
async def test_what_is_legal_is_not_accused(tree: Path, change: Spoil) -> None:
    change(tree)
    write_master(tree)
    report = await check(DirectorySource(tree))
    assert broken(report) == set(), [(o.rule.id, f.where, f.why) for o in report.outcomes for f in o.findings]


async def test_another_codec_is_called_unsupported(tree: Path) -> None:
    listed({VIDEO_PID: 0x24})(tree)
    report = await check(DirectorySource(tree))
    (outcome,) = [o for o in report.outcomes if o.rule.id == "segments.readable"]
    assert {finding.why for finding in outcome.findings} == {"unsupported: stream type 0x24"}


def test_every_rule_has_a_planted_defect() -> None:
    assert {rule.id for rule in ALL} == {defect.rule for defect in DEFECTS} | OVER_HTTP
    assert len({rule.id for rule in ALL}) == len(ALL)
