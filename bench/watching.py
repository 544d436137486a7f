"""The cost of watching through a suite: its scrapes at the beginning and at the end, and the same load early and late.

A quick suite has one scenario more before its own scenarios, and the same one after them. Without a cost that grows
with the cases, response times early and late do not differ, unless the speed of the machine changed: so a fixed piece
of work is measured meanwhile, and several suites give an interval that holds such changes.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from tabulate import tabulate

from reelbench import HOME
from reelbench.bench.generators import BenchError
from reelbench.bench.machine_speed import median_within
from reelbench.bench.ratio import ratio
from reelbench.exit_code import ExitCode
from reelbench.loadgen.plan.scenario import PROFILES
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.evidence.prometheus import Matrix, Prometheus
from reelbench.reporting.statistics.difference import Estimate, relative
from reelbench.reporting.statistics.intervals import Interval, summarize
from reelbench.reporting.statistics.significance import rank_test
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE
from reelbench.stack.environment import module_command

EARLY: Final = "watching_early"
LATE: Final = "watching_late"
LEVELS: Final = {1: 40, 5: 100}
"""Jobs in flight to measured jobs of the case."""
ENDS: Final = 20
"""Scrapes at each end of the suite."""
JOBS: Final = (SERVICE, PROVIDERS, LOADGEN)
_MEASURED: Final = frozenset({ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE})
"""Exit codes of a run with a complete plan; a verdict is not the question here."""


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Scrapes of one component at one end of the suite."""

    job: str
    end: str
    """first or last."""
    seconds: tuple[float, ...]
    """Length of each scrape."""
    samples: tuple[int, ...]
    """Samples of each scrape."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Response times of the completed jobs of one level, early and late in the suite, in seconds."""

    in_flight: int
    early: tuple[float, ...]
    late: tuple[float, ...]
    work: float | None
    """CPU time of a fixed piece of work late / early; above 1 the machine was slower late. None: not measured."""

    @property
    def p(self) -> float:
        """Two-sided p of the test of Mann and Whitney."""
        return rank_test(self.late, self.early).p

    @property
    def ratio(self) -> tuple[float, Interval]:
        """Median late / median early, with the 95 % interval from those of the two medians (MOVER)."""
        late, early = _median(self.late), _median(self.early)
        change = relative(late, early)
        lower, upper = (None if limit is None else 1 + limit for limit in (change.lower, change.upper))
        return late.value / early.value, Interval(lower, upper)


@dataclass(frozen=True, slots=True)
class Suite:
    """What was measured in one suite."""

    scrapes: tuple[Scrapes, ...]
    levels: tuple[Compared, ...]


def drive(folder: Path, seed: int, *, show: Callable[[str], None]) -> Path:
    """Run the quick suite on the embedded stack with the added scenarios; return the folder of the run.

    Raises:
        BenchError: the run was not completed.
        KeyboardInterrupt: the user interrupted it.
    """
    added, runs = folder / "scenarios", folder / "runs"
    write_scenarios(added)
    suite = [one.name for one in load_folder().values() if one.default_for == "every_target"]
    options = ["--embedded", "--profile", "quick", "--seed", str(seed), "--no-charts"]
    options += ["--runs", str(runs), "--scenarios", str(added)]
    options += [word for name in (EARLY, *suite, LATE) for word in ("--scenario", name)]
    process = subprocess.Popen(module_command("__main__", "run", *options), stdout=subprocess.PIPE, text=True, cwd=HOME)
    try:
        assert process.stdout is not None
        for text in process.stdout:
            show(text.rstrip())
        code = process.wait()
    finally:
        process.terminate()
        process.wait()
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in _MEASURED:
        raise BenchError(f"the suite ended with exit code {code}; its messages are above")
    [found] = runs.iterdir()
    return found


def write_scenarios(folder: Path) -> None:
    """Write the scenario that runs first and the one that runs last: they differ in the name alone."""
    folder.mkdir(parents=True)
    cases = [
        {
            "name": f"n{users:02}",
            "model": "closed",
            "concurrency": users,
            "iterations": dict.fromkeys(PROFILES, jobs),
            "warmup": dict.fromkeys(PROFILES, 2 * users),
        }
        for users, jobs in LEVELS.items()
    ]
    for name in (EARLY, LATE):
        scenario = {
            "name": name,
            "dimension": "performance",
            "title": "Watching",
            "why": "The same load before and after all other scenarios.",
            "steps": ["create", "wait", "content"],
            "encoding": "multipart",
            "video": {"seconds": "4", "size": "720x1280"},
            "time_limit": 60,
            "poll_interval": 0.25,
            "cases": cases,
            "objectives": {},
        }
        (folder / f"{name}.yaml").write_bytes(msgspec.yaml.encode(scenario))


def scrapes(run_dir: Path, prometheus: Prometheus) -> list[Scrapes]:
    """Return the first and the last scrapes of each component in a run.

    Raises:
        BenchError: a component has too few scrapes.
        QueryError: Prometheus did not answer.
    """
    run, stack = read_run(run_dir), read_stack(run_dir)
    if stack is None or stack.settled_at is None:
        raise BenchError(f"{run_dir} has no telemetry up to the end of its load")
    window = f"[{int(stack.settled_at - run.started) + 60}s]"
    names = ("scrape_duration_seconds", "scrape_samples_scraped")
    durations, counts = prometheus.matrices([(f"{name}{window}", stack.settled_at) for name in names])
    return ends(durations, counts)


def ends(durations: Matrix, counts: Matrix) -> list[Scrapes]:
    """Return the first and the last scrapes of each component; a scrape without samples found no component.

    Raises:
        BenchError: a component has too few scrapes.
    """
    seconds, samples = _by_job(durations), _by_job(counts)
    found = []
    for job in JOBS:
        times = [time for time, count in sorted(samples.get(job, {}).items()) if count]
        if len(times) < 2 * ENDS:
            raise BenchError(f"{job} was scraped {len(times)} times, fewer than {2 * ENDS} times")
        found += [
            Scrapes(
                job,
                end,
                tuple(seconds[job][time] for time in chosen),
                tuple(round(samples[job][time]) for time in chosen),
            )
            for end, chosen in (("first", times[:ENDS]), ("last", times[-ENDS:]))
        ]
    return found


def _by_job(matrix: Matrix) -> dict[str, dict[float, float]]:
    return {line.metric["job"]: {time: float(value) for time, value in line.values} for line in matrix}


def compared(jobs: Sequence[JobRecord], pieces: Sequence[tuple[float, float]]) -> list[Compared]:
    """Return the response times of the added scenarios, level by level.

    Args:
        jobs: All jobs of the run.
        pieces: Unix time and CPU seconds of the pieces of work that were done meanwhile.

    Raises:
        BenchError: jobs are missing, or not all were completed.
    """
    found = []
    for users in LEVELS:
        early, late = (_completed(jobs, scenario, users) for scenario in (EARLY, LATE))
        before, after = (
            median_within(pieces, min(job.due for job in block), max(job.done for job in block))
            for block in (early, late)
        )
        work = after / before if before and after else None
        found.append(Compared(users, _times(early), _times(late), work))
    return found


def _completed(jobs: Sequence[JobRecord], scenario: str, users: int) -> list[JobRecord]:
    mine = [job for job in jobs if (job.scenario, job.case) == (scenario, f"n{users:02}") and not job.warmup]
    completed = [job for job in mine if job.outcome is Outcome.COMPLETED]
    if len(completed) < LEVELS[users]:
        raise BenchError(f"{len(completed)} of {LEVELS[users]} jobs of {scenario} were completed; run it again")
    return completed


def _times(jobs: Sequence[JobRecord]) -> tuple[float, ...]:
    return tuple(job.done - job.due for job in jobs)


def _median(values: Sequence[float]) -> Estimate:
    found = summarize(values)
    assert found is not None
    return Estimate(found.p50.value, found.p50.interval)


def lines(suites: Sequence[Suite]) -> list[str]:
    """Return the scrapes of all suites, the response times of each, and those of all suites together."""
    rows = []
    for each in zip(*(suite.scrapes for suite in suites), strict=True):
        seconds = [value for one in each for value in one.seconds]
        samples = [value for one in each for value in one.samples]
        rows.append(
            (
                each[0].job,
                each[0].end,
                len(seconds),
                f"{statistics.median(seconds) * 1e3:.1f}",
                f"{max(seconds) * 1e3:.1f}",
                f"{statistics.median(samples):,.0f}",
            )
        )
    of_scrapes = tabulate(
        rows, ("component", "scrapes", "n", "median, ms", "longest, ms", "samples"), disable_numparse=True
    ).splitlines()
    rows_of_levels = [
        (
            number,
            one.in_flight,
            f"{_median(one.early).value:.3f}",
            f"{_median(one.late).value:.3f}",
            _ratio(*one.ratio),
            f"{one.p:.3g}",
            "" if one.work is None else f"{one.work:.3f}",
        )
        for number, suite in enumerate(suites, 1)
        for one in suite.levels
    ]
    headers = ("suite", "in flight", "median early, s", "median late, s", "late / early (95 % interval)", "p", "work")
    of_levels = tabulate(rows_of_levels, headers, disable_numparse=True).splitlines()
    notes = ["work: CPU time of a fixed piece of work, late / early; above 1 the machine was slower late."]
    if len(suites) > 1:
        for each in zip(*(suite.levels for suite in suites), strict=True):
            late = [_median(one.late).value for one in each]
            early = [_median(one.early).value for one in each]
            notes.append(
                f"{len(suites)} suites, {each[0].in_flight} in flight: late / early {ratio(late, early)}, "
                "of the medians of each suite"
            )
    return [*of_scrapes, "", *of_levels, "", *notes]


def _ratio(value: float, interval: Interval) -> str:
    if interval.lower is None or interval.upper is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval.lower:.3f} to {interval.upper:.3f})"
