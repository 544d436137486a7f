"""``reelbench list``: the scenarios that can be run, or the runs that were made."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from reelbench.exit_code import ExitCode
from reelbench.loadgen.plan.arrivals import expected_jobs
from reelbench.loadgen.plan.scenario import PROFILES, Profile, Scenario
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_folder
from reelbench.loadgen.plan.search import most_visits
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError
from reelbench.suite.commands.console import RUNS, echo, fail


class What(StrEnum):
    """What can be listed."""

    SCENARIOS = "scenarios"
    RUNS = "runs"


def main(
    *,
    what: Annotated[What, typer.Argument(help="What to list.")] = What.SCENARIOS,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS,
) -> None:
    """List the scenarios with their measured jobs in each profile, or the runs of a folder."""
    rows = scenario_rows() if what is What.SCENARIOS else run_rows(runs)
    echo(tabulate(rows[1:], rows[0], tablefmt="plain", disable_numparse=True))


def scenario_rows() -> list[list[str]]:
    """Return a table of the scenarios, headings first."""
    try:
        scenarios = load_folder().values()
    except ScenarioError as error:
        fail(ExitCode.USAGE, error.errors)
    rows = [["scenario", "dimension", *(f"jobs, {profile}" for profile in PROFILES), "by default at", "title"]]
    for scenario in scenarios:
        jobs = [_jobs(scenario, profile) for profile in PROFILES]
        rows.append([scenario.name, scenario.dimension, *jobs, scenario.default_for.replace("_", " "), scenario.title])
    return rows


def _jobs(scenario: Scenario, profile: Profile) -> str:
    jobs = sum(expected_jobs(case, profile) for case in most_visits(scenario, profile))
    return f"≤ {jobs}" if scenario.search is not None else str(jobs)


def run_rows(runs: Path) -> list[list[str]]:
    """Return a table of the runs in a folder, headings first; a run that cannot be read is listed with the reason."""
    folders = sorted(path.parent for path in runs.glob(f"*/{RUN_FILE}"))
    if not folders:
        fail(ExitCode.USAGE, [f"there is no run in {runs}; make one with: reelbench run, or name another --runs"])
    rows = [["run", "state", "profile", "seed", "scenarios", "target"]]
    for folder in folders:
        try:
            run = read_run(folder)
        except RecordError as error:
            rows.append([str(folder), f"unreadable: {error}"])
        else:
            rows.append([str(folder), run.state, run.profile, str(run.seed), str(len(run.scenarios)), run.target])
    return rows
