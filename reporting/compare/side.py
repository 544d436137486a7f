"""One side of a comparison: a run, or the repetitions of one, read from their folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reelbench.loadgen.record.jobs import read_calls, read_jobs, read_requests
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, RUN_FILE, RecordError
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.analysis.reconciliation import reconcile
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.compare.folders import repeated_runs
from reelbench.reporting.evidence import measurements as measured
from reelbench.reporting.evidence.evidence import Evidence

DIMENSIONS = ("performance", "reliability", "resources")


@dataclass(frozen=True)
class Side:
    """Runs of one plan in one configuration; more than one: repetitions."""

    name: str
    """That of its folder."""
    runs: tuple[Evidence, ...]

    @cached_property
    def invalid(self) -> frozenset[tuple[str, str]]:
        """Scenario and case of the places in which a load generator was the bottleneck; the empty case: any."""
        found = {(h.scenario, h.case) for run in self.runs for d in DIMENSIONS for h in check(run, d) if h.problems}
        return frozenset(found | {(scenario, "") for scenario, _ in found})

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each thing that keeps a run from being a reference."""
        return tuple(problem for run in self.runs for problem in _problems(run))

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """Counts that do not reconcile, one sentence each."""
        return tuple(
            f"{run.run.run_id}: {text}" for run in self.runs for d in DIMENSIONS for r in reconcile(run, d)
            for text in r.differences
        )  # fmt: skip


def read_side(folder: Path, catalogue: Catalogue) -> Side:
    """Read a run directory, or the runs that a folder of repetitions names.

    Raises:
        RecordError: a run cannot be read, or was not exported yet.
    """
    folders = [folder] if (folder / RUN_FILE).exists() else repeated_runs(folder)
    return Side(folder.resolve().name, tuple(read_evidence(path, catalogue) for path in folders))


def read_evidence(folder: Path, catalogue: Catalogue) -> Evidence:
    """Read a run with its kept measurements; nobody is asked for metrics or traces.

    Raises:
        RecordError: it cannot be read, or was not exported yet.
    """
    run = read_run(folder)
    kept = measured.read(folder)
    if kept is None:
        msg = f"{folder} has no {MEASUREMENTS_FILE}; write it with: python scripts/export_reports.py {folder}"
        raise RecordError(msg)
    return Evidence(
        catalogue=catalogue,
        run=run,
        jobs=tuple(read_jobs(folder)),
        requests=tuple(read_requests(folder)),
        calls=tuple(read_calls(folder)),
        stack=read_stack(folder),
        prices=load_prices(),
        measurements=kept,
    )


def _problems(run: Evidence) -> list[str]:
    found = []
    if run.run.state is not RunState.COMPLETED:
        found.append(f"{run.run.run_id} is not finished (its state is {run.run.state})")
    places = [f"{h.scenario} / {h.case}" for d in DIMENSIONS for h in check(run, d) if h.problems]
    if places:
        found.append(
            f"{run.run.run_id} is {Status.INVALID}: the load generator was the bottleneck in {', '.join(places)}"
        )
    return found
