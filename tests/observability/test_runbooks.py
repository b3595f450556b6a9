"""Every alert has a summary, a severity and a section of the runbooks."""

import re

import yaml

from tests.observability import queries
from tests.support.repository import ROOT

PAGE = "docs/how-to/runbooks.md"


def sections() -> dict[str, str]:
    """The sections of the runbooks that belong to alerts, by their headings."""
    parts = re.split(r"^## (Gostream\w+)$", (ROOT / PAGE).read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_alert_has_one_runbook() -> None:
    names = [alert["alert"] for alert in queries.alerts()]

    assert len(set(names)) == len(names)
    assert list(sections()) == names


def test_addresses_of_runbooks_lead_to_their_sections() -> None:
    urls = {alert["alert"]: alert["annotations"]["runbook_url"] for alert in queries.alerts()}

    assert urls == {name: f"{PAGE}#{name.lower()}" for name in sections()}


def test_runbooks_say_meaning_look_and_remedy() -> None:
    wanted = ["**Means.**", "**Look.**", "**Do.**"]
    found = {name: re.findall(r"^\*\*\w+\.\*\*", text, re.MULTILINE) for name, text in sections().items()}

    assert {name for name, parts in found.items() if parts != wanted} == set()


def test_alerts_have_a_severity_and_a_summary() -> None:
    assert {alert["labels"]["severity"] for alert in queries.alerts()} == {"page", "ticket"}
    assert [alert["alert"] for alert in queries.alerts() if not alert["annotations"].get("summary")] == []


def test_the_example_loads_every_rule_file() -> None:
    example = yaml.safe_load((queries.PROMETHEUS / "prometheus.yml").read_text())
    files = {path.name for path in queries.PROMETHEUS.glob("*.yaml")}

    assert set(example["rule_files"]) == files
    assert all(each["job_name"].startswith("gostream-") for each in example["scrape_configs"])
