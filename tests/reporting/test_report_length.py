"""Reports in a reader's order, short enough to be read: the rest is in the appendix of the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.report_text import report_text

MOST_LINES = 400
SHARED = ("Environment", "Machine", "Clocks", "Method")


@pytest.fixture(params=["performance", "reliability", "resources"])
def report(
    request: pytest.FixtureRequest, measured: Path, measured_outages: Path, measured_resources: Path
) -> tuple[Path, str]:
    folders = {"performance": measured, "reliability": measured_outages, "resources": measured_resources}
    return folders[request.param] / "reports", request.param


def test_a_report_begins_with_verdict_why_and_what_to_do(report: tuple[Path, str]) -> None:
    folder, name = report
    text = (folder / f"{name}_report.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[:6] == ["Verdict", "Why", "What to do", "The run over time", "Key metrics", "Objectives"]
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.encode()) <= 65_000  # what GitHub takes as a comment
    assert not set(titles) & {*SHARED, "Queries", "Raw samples"}


def test_what_all_reports_share_stands_once_in_the_appendix(report: tuple[Path, str]) -> None:
    folder, name = report
    titles = re.findall(r"^## (.*)$", (folder / "appendix.md").read_text(), re.MULTILINE)
    assert tuple(titles[:4]) == SHARED
    assert {f"{name.capitalize()}: {title}" for title in ("Workload", "Counts", "Queries")} <= set(titles)
    assert len(titles) == len(set(titles))


def test_links_into_the_appendix_lead_to_its_headings(report: tuple[Path, str]) -> None:
    folder, name = report
    linked = set(re.findall(r"\]\(([a-z_]+\.md)#([^)]+)\)", (folder / f"{name}_report.md").read_text()))
    assert ("appendix.md", f"{name}-queries") in linked
    headings = {
        (path.name, re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))
        for path in folder.glob("*.md")
        for title in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    }
    assert linked <= headings
    assert "](#" not in report_text(folder.parent, name)  # every anchor of the page was translated
