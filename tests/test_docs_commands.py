"""Every command of the pages is run as written, unless there is a reason against it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from typer.exceptions import TyperException

from tests.acceptance import SuiteRun, needs
from tests.documented import DEADLINE, REASONS, SLOW, copy_checkout, parses, reason, script, sections, shim
from tests.pages import ROOT, pages

SECTIONS = sections()
COMMANDS = [
    command for page in pages() for block in page.blocks if block.language == "sh" for command in block.commands
]
INLINE = sorted(
    {
        code
        for page in pages()
        for code in page.inline
        if re.match(r"(reelbench \w|python (scripts/|-m reelbench.loadgen )|make |docker compose )", code)
    }
)
SAYS = {
    ("docs/how-to.md", "add-a-scenario"): ("valid: ", "evening_peak", "reliability: "),
    ("docs/how-to.md", "add-an-indicator"): ("prometheus/rules/objectives.yml", "P99 of a visual"),
    ("docs/how-to.md", "add-a-provider"): ("Success rate", "summary.md"),
    ("docs/how-to.md", "add-a-section-to-a-report"): ("| Scenario / case", "## Slowest jobs"),
    ("docs/your-service.md", "a-complete-example"): ('"object":"list"', "performance: "),
    ("docs/scenario-file.md", ""): ("scenarios with",),
    ("docs/commands.md", "run"): ("summary.md",),
}
"""Text that the output of a section must contain."""


def marked() -> list[pytest.ParameterSet]:
    """Sections with a command start processes; those that start or report a run share the acceptance suite's."""
    found = []
    for place, blocks in SECTIONS.items():
        commands = [command for block in blocks for command in block.commands if reason(command) is None]
        marks = [pytest.mark.acceptance] if commands else []
        if any(SLOW.search(command) for command in commands):
            marks += [pytest.mark.extended, pytest.mark.reports, needs("single_request", "component_speed")]
        found.append(pytest.param(place, id=":".join(place), marks=marks))
    return found


@pytest.mark.parametrize("place", marked())
def test_commands_of_a_section_succeed(place: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    commands = [command for block in SECTIONS[place] for command in block.commands if reason(command) is None]
    environment = os.environ | {"SERVICE_DATA_DIR": str(tmp_path / "data")}
    if any(SLOW.search(command) for command in commands):
        suite: SuiteRun = request.getfixturevalue("suite")
        environment["RUN_ID"] = suite.record.run_id
        kept = checkout / "runs" / suite.record.run_id
        shutil.copytree(suite.folder, kept, ignore=shutil.ignore_patterns("assets"))
        environment["PROMETHEUS_BIN"] = str(request.getfixturevalue("prometheus").path)
    environment["PATH"] = f"{shim(tmp_path / 'bin')}:{environment['PATH']}"
    prepare(place, checkout)
    done = subprocess.run(
        ["bash", "-c", script(commands)],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert all(words in done.stdout for words in SAYS.get(place, ())), done.stdout


def prepare(place: tuple[str, str], checkout: Path) -> None:
    """Prepare the files that the reader has, and the manual steps between two commands."""
    shutil.copyfile(ROOT / "loadgen" / "documents" / "sample_paper.pdf", checkout / "my_paper.pdf")
    shutil.copyfile(ROOT / "reporting" / "catalogue" / "prices.yaml", checkout / "my_prices.yaml")
    if place == ("docs/how-to.md", "add-a-section-to-a-report"):
        page = next(page for page in pages() if page.name == "docs/how-to.md")
        (lines,) = (block.body for block in page.blocks if (block.section, block.language) == (place[1], "text"))
        imported, called = lines.splitlines()
        report = checkout / "reporting" / "sections" / "build.py"
        text = report.read_text()
        before, behind = "\nSectionFunction = ", "            parts_of_a_job.critical_path,\n"
        assert (text.count(before), text.count(behind)) == (1, 1)
        text = text.replace(before, f"{imported}\n{before}").replace(behind, f"{behind}{called}\n")
        report.write_text(text)


@pytest.mark.extended
@pytest.mark.parametrize("command", sorted({command for command in COMMANDS if reason(command)}))
def test_commands_that_are_not_run_are_valid(command: str) -> None:
    found = reason(command)
    assert found is not None
    assert found.why
    found.check(command)


@pytest.mark.parametrize("command", INLINE)
def test_commands_in_prose_are_valid(command: str) -> None:
    """The options exist; required ones may be missing in prose."""
    check = next((one.check for one in REASONS if one.matches(command)), parses)
    with suppress(typer.BadParameter):
        check(re.sub(r" (FILE|\.\.\.)$", " x", command))


def test_every_reason_belongs_to_a_command() -> None:
    inline = [code for page in pages() for code in page.inline]
    idle = [one.pattern for one in REASONS if not any(one.matches(command) for command in (*COMMANDS, *inline))]
    assert idle == []


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("python scripts/run_suite.py --profil quick", "--profil"),
        ("python -m reelbench.loadgen ran", "ran"),
        ("reelbench run --profil quick", "--profil"),
        ("reelbench reprot", "reprot"),
        ("docker compose --profile loud up", "loud"),
        ("docker compose up --scale lodgen=3 loadgen", "lodgen"),
        ("make suit", "suit"),
    ],
)
def test_unknown_names_in_commands_are_detected(command: str, complaint: str) -> None:
    check = next((one.check for one in REASONS if one.matches(command)), parses)
    with pytest.raises((AssertionError, TyperException), match=complaint):
        check(command)
