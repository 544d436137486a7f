"""``reelbench list``: the scenarios that can be run, or the runs that were made."""

from __future__ import annotations

import sys
import time
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
from reelbench.loadgen.record.run_files import RecordError
from reelbench.suite.commands.console import RUNS, echo, fail
from reelbench.suite.pruning import PruneError, chosen, limits, remove
from reelbench.suite.result import verdict_of
from reelbench.suite.run_folders import Found, find_runs


class What(StrEnum):
    """What can be listed."""

    SCENARIOS = "scenarios"
    RUNS = "runs"


def main(
    *,
    what: Annotated[What, typer.Argument(help="What to list.")] = What.SCENARIOS,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS,
    page: Annotated[bool, typer.Option("--page", help="Write index.html about all runs into their folder.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove old or large runs; asks first.")] = False,
    older_than: Annotated[str | None, typer.Option(help="--prune: runs that began longer ago, such as 30d.")] = None,
    larger_than: Annotated[str | None, typer.Option(help="--prune: runs that are larger, such as 5GB.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="--prune: do not ask.")] = False,
) -> None:
    """List the scenarios with their measured jobs in each profile, or the runs of a folder.

    --prune removes the runs beyond the limits that are given, after it has shown them and asked. It keeps runs that go
    on, and folders that are no runs.
    """
    if prune:
        return _prune(runs, older_than, larger_than, yes=yes)
    if older_than or larger_than or yes:
        fail(ExitCode.USAGE, ["--older-than, --larger-than and --yes need --prune"])
    if page:
        return _write_page(runs)
    rows = scenario_rows() if what is What.SCENARIOS else run_rows(runs, time.time())
    return echo(_table(rows))


def _table(rows: list[list[str]]) -> str:
    return tabulate(rows[1:], rows[0], tablefmt="plain", disable_numparse=True)


def _write_page(runs: Path) -> None:
    from reelbench.suite.index import write_index  # noqa: PLC0415 - the analysis of a history takes a second

    try:
        echo(str(write_index(runs, time.time())))
    except RecordError as error:
        fail(ExitCode.USAGE, [str(error)])
    except OSError as error:
        fail(ExitCode.USAGE, [f"cannot write {error.filename or runs} ({error.strerror}); name another --runs"])


def _prune(runs: Path, older_than: str | None, larger_than: str | None, *, yes: bool) -> None:
    """Show the runs that go, ask, and remove them."""
    now = time.time()
    try:
        going, kept = chosen(find_runs(runs, now), limits(older_than, larger_than), now)
    except PruneError as error:
        fail(ExitCode.USAGE, [str(error)])
    for one in kept:
        echo(f"kept, as it goes on: {one.folder}")
    if not going:
        return echo("no run is beyond the limits")
    echo(_table([["run", "started", "state", "size"], *map(_pruned_row, going)]))
    from reelbench.reporting.document import text  # noqa: PLC0415 - loads the statistics

    total = text.size(sum(one.size for one in going))
    if not yes and not _agreed(f"Remove {text.counted(len(going), 'run')} with {total}?"):
        return echo("nothing was removed")
    for one in going:
        try:
            removed = remove(one, now)
        except OSError as error:
            fail(ExitCode.USAGE, [f"cannot remove {error.filename or one.folder} ({error.strerror}); check its owner"])
        echo(f"{'removed' if removed else 'kept, as it goes on'}: {one.folder}")
    return None


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        fail(ExitCode.USAGE, ["--prune asks first, and there is no terminal; add --yes"])
    return typer.confirm(question)


def _pruned_row(one: Found) -> list[str]:
    from reelbench.reporting.document import text  # noqa: PLC0415 - loads the statistics

    return [str(one.folder), text.instant(one.run.started if one.run else None), one.state, text.size(one.size)]


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


def run_rows(runs: Path, now: float) -> list[list[str]]:
    """Return a table of the runs in a folder, headings first; a run that cannot be read is listed with the reason."""
    found = find_runs(runs, now)
    if not found:
        fail(ExitCode.USAGE, [f"there is no run in {runs}; make one with: reelbench run, or name another --runs"])
    from reelbench.reporting.document import text  # noqa: PLC0415 - loads the statistics

    rows = [["run", "state", "verdict", "started", "profile", "seed", "scenarios", "commit", "size", "target"]]
    for one in found:
        if one.run is None:
            rows.append([str(one.folder), f"unreadable: {one.why}"])
            continue
        run = one.run
        rows.append([
            str(one.folder), "goes on" if one.going else one.state, verdict_of(one.folder), text.instant(run.started),
            run.profile, str(run.seed), str(len(run.scenarios)), (run.environment.commit or "unknown")[:12],
            text.size(one.size), run.target,
        ])  # fmt: skip
    return rows
