"""A side of a comparison: one run, or its repetitions; whether two sides are comparable, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reelbench.loadgen.record.conditions import read_conditions
from reelbench.loadgen.record.jobs import read_calls, read_jobs, read_requests
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, RUN_FILE, RecordError
from reelbench.loadgen.record.stack import read_stack
from reelbench.loadgen.record.videos import read_videos
from reelbench.reporting.analysis.disturbance import disturbances
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.analysis.reconciliation import reconcile
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.compare.folders import repeated_runs
from reelbench.reporting.compare.records import Differs, SideRecord
from reelbench.reporting.document import running, text
from reelbench.reporting.document.workload import Inputs, file_names, inputs
from reelbench.reporting.evidence import measurements as measured
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.requests import Requests


class CompareError(Exception):
    """Sides that cannot be compared; `errors` has one sentence for each reason, with its cure."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True)
class Side:
    """Runs of one plan in one configuration; several runs are repetitions."""

    name: str
    """Name of its folder."""
    runs: tuple[Evidence, ...]

    @property
    def record(self) -> SideRecord:
        """The side as kept in JSON."""
        first = self.runs[0].run
        return SideRecord(
            name=self.name,
            runs=tuple(run.run.run_id for run in self.runs),
            plan_hash=first.plan_hash,
            commit=first.environment.commit,
        )

    @cached_property
    def invalid(self) -> frozenset[tuple[str, str]]:
        """Scenario and case of each place in which a load generator was the bottleneck; an empty case: any case."""
        found = {
            (h.scenario, h.case) for run in self.runs for d in _dimensions(run) for h in check(run, d) if h.problems
        }
        return frozenset(found | {(scenario, "") for scenario, _ in found})

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Reasons why a run is not a valid reference, one sentence each."""
        return tuple(problem for run in self.runs for problem in _problems(run))

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Counts that do not reconcile, and cases that others disturbed, one sentence each."""
        return (*self._differences, *self._disturbances)

    @property
    def _disturbances(self) -> tuple[str, ...]:
        return tuple(
            f"Disturbed in {run.run.run_id}: {one.sentence}"
            for run in self.runs for d in _dimensions(run) for one in disturbances(run, d)
        )  # fmt: skip

    @property
    def _differences(self) -> tuple[str, ...]:
        return tuple(
            f"Counts differ in {run.run.run_id}: {difference}"
            for run in self.runs for d in _dimensions(run) for r in reconcile(run, d) for difference in r.differences
        )  # fmt: skip


_BUDGET_CURE = (
    ". A time budget plans by the length of one job, which differs from run to run: for a comparison, name the "
    "scenarios with --scenario and give no --budget"
)


def read_side(folder: Path, catalogue: Catalogue) -> Side:
    """Read a run directory, or the runs that a folder of repetitions names.

    Raises:
        RecordError: a run cannot be read, or was not exported yet.
    """
    folders = [folder] if (folder / RUN_FILE).exists() else repeated_runs(folder)
    return side_of(folder.resolve().name, folders, catalogue)


def side_of(name: str, folders: Sequence[Path], catalogue: Catalogue) -> Side:
    """Read runs with their kept measurements as one side; neither Prometheus nor traces are queried.

    Raises:
        RecordError: a run cannot be read, or was not exported yet.
    """
    return Side(name, tuple(_read(folder, catalogue) for folder in folders))


def refusals(run: Side, baseline: Side) -> Iterator[str]:
    """Yield each reason why a comparison would mislead."""
    both = sorted({r.run.run_id for r in run.runs} & {r.run.run_id for r in baseline.runs})
    if both:
        yield f"{', '.join(both)} is on both sides; name two different runs"
    plans = [_plans(side) for side in (run, baseline)]
    if len({identity for identity, _ in plans[0] | plans[1]}) > 1:
        mine, theirs = (" or ".join(sorted(plan for _, plan in found)) for found in plans)
        yield (
            f"the plans differ ({mine} against {theirs}); "
            "compare runs of the same scenarios, profile, seed, document, prompts, references and arrivals"
            f"{_BUDGET_CURE if any(r.run.budget for side in (run, baseline) for r in side.runs) else ''}"
        )
    for one in run.runs:
        if one.run.state is not RunState.COMPLETED:
            yield f"{_unfinished(one)}; name a finished run"
    for problem in baseline.problems:
        yield f"the baseline {problem}; name a finished, valid run"


def differs(run: Side, baseline: Side) -> tuple[Differs, ...]:
    """Return every recorded item of the environment that is not the same on both sides."""
    described = all(one.conditions is not None and one.conditions.processes for one in (*run.runs, *baseline.runs))
    mine, theirs = (_facts(side, described=described) for side in (run, baseline))
    return tuple(
        Differs(item=item, run=mine.get(item, text.NONE), baseline=theirs.get(item, text.NONE))
        for item in dict.fromkeys([*mine, *theirs])
        if mine.get(item) != theirs.get(item)
    )


def _read(folder: Path, catalogue: Catalogue) -> Evidence:
    run = read_run(folder)
    kept = measured.read(folder)
    if kept is None:
        msg = f"{folder} has no {MEASUREMENTS_FILE}; write it with: reelbench report {folder}"
        raise RecordError(msg)
    return Evidence(
        catalogue=catalogue,
        run=run,
        jobs=tuple(read_jobs(folder)),
        requests=Requests.of(read_requests(folder)),
        calls=tuple(read_calls(folder)),
        videos=tuple(read_videos(folder)),
        stack=read_stack(folder),
        conditions=read_conditions(folder),
        prices=load_prices(),
        measurements=kept,
    )


def _dimensions(run: Evidence) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scenario.dimension for scenario in run.run.scenarios))


def _problems(run: Evidence) -> Iterator[str]:
    if run.run.state is not RunState.COMPLETED:
        yield _unfinished(run)
    places = [f"{h.scenario} / {h.case}" for d in _dimensions(run) for h in check(run, d) if h.problems]
    if places:
        why = next(h.reason for d in _dimensions(run) for h in check(run, d) if h.problems)
        yield f"{run.run.run_id} is {Status.INVALID}: {why} in {', '.join(places)}"


def _unfinished(run: Evidence) -> str:
    return f"{run.run.run_id} is not finished (its state is {run.run.state})"


def _plans(side: Side) -> set[tuple[tuple[str, Inputs], str]]:
    """Plan hash and files of the workload of each run, with a description of the plan."""
    found = set()
    for r in side.runs:
        run = r.run
        names = [s.name for s in run.scenarios]
        what = names[0] if len(names) == 1 else f"{len(names)} scenarios"
        sentence = f"{what}, profile {run.profile}, seed {run.seed}, {file_names(run)}, plan {run.plan_hash[:8]}"
        found.add(((run.plan_hash, inputs(run)), sentence))
    return found


def _facts(side: Side, *, described: bool) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for run in side.runs:
        for item, value in (*_environment(run), *_processes(run, described=described)):
            found.setdefault(item, []).append(value)
    return {item: "; ".join(dict.fromkeys(values)) for item, values in found.items()}


def _processes(evidence: Evidence, *, described: bool) -> Iterator[tuple[str, str]]:
    """Yield what each process ran with where both sides have recorded it, else whether this run has."""
    has = evidence.conditions is not None and bool(evidence.conditions.processes)
    if described and evidence.conditions is not None:
        yield from running.facts(evidence.conditions)
    else:
        yield "Settings of the processes", "recorded" if has else "not recorded"


def _environment(evidence: Evidence) -> Iterator[tuple[str, str]]:
    run, machine, stack = evidence.run, evidence.run.environment, evidence.stack
    changed = ", with uncommitted changes" if machine.dirty else ""
    yield "Commit", f"{machine.commit[:12]}{changed}" if machine.commit else running.no_commit(machine)
    for name, on in sorted((run.switches or {}).items()):
        yield f"Switch {name}", "on" if on else "off"
    # an embedded stack takes free ports, so its address differs from run to run
    yield "Target", "embedded service" if stack and stack.kind == "embedded" and stack.has_service else run.target
    yield "Stack", stack.kind if stack else "not recorded"
    yield "Prometheus", str(stack.prometheus.version) if stack and stack.prometheus else text.NONE
    yield "Processor", f"{machine.cpu_model}, {machine.cpu_count} cores"
    yield "Memory", text.size(machine.memory_bytes)
    yield "Operating system", machine.os
    yield "Python", machine.python
    for name, version in sorted(machine.packages.items()):
        yield f"Library {name}", version
    yield "Lock file", (machine.lock_sha256 or text.NONE)[:12]
    yield "Load generators", str(run.load_generators)
