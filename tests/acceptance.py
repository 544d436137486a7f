"""The run of the acceptance suite: the scenarios that the selected tests need, run once by the users' command."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from reelbench.loadgen.plan.scenario import PROFILES, Dimension, Scenario
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import RunRecord, RunState, ScenarioRecord, read_run
from reelbench.reporting.analysis.server_slis import ROLES
from reelbench.reporting.analysis.verdicts import Status, Verdict
from reelbench.reporting.catalogue import sli_file as catalogue
from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.export import Exported, export
from reelbench.reporting.sections.verdict import verdict_cells

ROOT = Path(__file__).parents[1]
REPORTS = Path(__file__).parent / "reports"
DEADLINE = 900
"""Seconds for one run of the whole suite, also in the profile standard."""
SCENARIOS = {name: spec for name, spec in load_folder().items() if spec.default_for == "every_target"}
"""The scenarios that run against the bundled service when none is named."""
SHORT = frozenset(
    {
        "api_latency", "cache_efficiency", "job_cancellation", "normal_operation", "single_request", "tts_failures",
    }
)  # fmt: skip
"""Scenarios that `make test` measures: 21 s of load, with closed loops, injected faults and toggles.

Tests of the others are long ones: they share one run of the whole suite.
"""
assert SCENARIOS.keys() > SHORT, "a short scenario was renamed"
_FIGURE = re.compile(r"\]\((figures/[^)]+)\)")


@dataclass(frozen=True)
class SuiteRun:
    """One run and its reports."""

    folder: Path
    code: int
    """Exit code of `run_suite.py`."""
    printed: str
    """Its standard output: the verdicts and the paths of the reports."""

    @cached_property
    def record(self) -> RunRecord:
        """The head of the run."""
        return read_run(self.folder)

    @cached_property
    def exported(self) -> Exported:
        """The verdicts, computed from the kept measurements; the reports that the command wrote are not changed."""
        return export(self.folder, None, formats=())

    def scenario(self, name: str) -> ScenarioRecord:
        """The record of a scenario."""
        return next(scenario for scenario in self.record.scenarios if scenario.name == name)

    def report(self, dimension: Dimension) -> Path:
        """The report of a dimension."""
        return self.folder / "reports" / f"{dimension}_report.md"

    def judged(self, dimension: Dimension) -> set[tuple[str, str]]:
        """Scenario and indicator of every verdict of a dimension."""
        mine = set(names(dimension))
        return {(v.scenario, v.sli.id) for v in self.exported.verdicts if v.scenario in mine}

    def accept(self, scenario: str) -> None:
        """Fail unless a scenario ran to its end with every planned job, was valid, and all its counts agree."""
        record = self.scenario(scenario)
        assert record.state is RunState.COMPLETED, f"{scenario} is {record.state}; see {self.folder}"
        ended = Counter(job.case for job in read_jobs(self.folder) if job.scenario == scenario and not job.warmup)
        run = [case for case in record.cases if not case.not_needed]  # a search leaves out rates that decide nothing
        assert {case.name: ended[case.name] for case in run} == {case.name: case.planned for case in run}
        problems = [problem for problem in self.exported.problems if re.match(rf"{scenario}\b", problem)]
        assert not problems, "\n".join((*problems, f"the report: {self.report(SCENARIOS[scenario].dimension)}"))

    def publish(self, dimension: Dimension) -> None:
        """Copy a report, its figures, the summary and the appendix to ``tests/reports/`` for the user."""
        report = self.report(dimension)
        text = report.read_text()
        REPORTS.mkdir(exist_ok=True)
        for figure in _FIGURE.findall(text):
            target = REPORTS / figure
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(report.parent / figure, target)
        for name in (report.name, "summary.md", "appendix.md"):
            shutil.copyfile(report.parent / name, REPORTS / name)
        sys.stdout.write(f"\n{REPORTS / report.name}\n")

    def judge(self, scenario: str, sli: str) -> None:
        """Fail unless an objective holds in each case of the scenario; the message has value, objective, n and report.

        If the sample is too small for a verdict, the test is skipped with this reason.
        """
        verdicts = [v for v in self.exported.verdicts if (v.scenario, v.sli.id) == (scenario, sli)]
        report = self.report(SCENARIOS[scenario].dimension)
        assert verdicts, f"{scenario} was not judged by {sli}; see {report}"
        failed = [sentence(v) for v in verdicts if v.status is not Status.PASS and not v.too_few]
        assert not failed, "\n".join((*failed, f"the report: {report}"))
        if all(v.too_few for v in verdicts):
            pytest.skip("; ".join(dict.fromkeys(v.reason for v in verdicts)))


def sentence(verdict: Verdict) -> str:
    """A verdict as a sentence: indicator, place, value, objective, n, status and reason."""
    title, place, objective, value, n = verdict_cells(verdict)
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{title} in {place}: {value}, objective {objective}, n = {n}: {verdict.status}{reason}"


def names(dimension: Dimension) -> list[str]:
    """The scenarios of a dimension, in the order of a suite."""
    return [scenario.name for scenario in SCENARIOS.values() if scenario.dimension == dimension]


def judged(dimension: Dimension, profile: str = "quick") -> list[tuple[str, str]]:
    """Scenario and indicator of every objective of a dimension: the catalogue's, with the scenario files' overrides."""
    (known,) = (name for name in PROFILES if name == profile)
    return [
        (scenario.name, sli.id)
        for scenario in (spec.of(known) for spec in SCENARIOS.values())
        if scenario.dimension == dimension
        for sli in catalogue.load().slis
        if sli.of(dimension) and _applies(sli, scenario)
    ]


def _applies(sli: Sli, scenario: Scenario) -> bool:
    objective = sli.objective
    if objective is None or sli.function in ROLES or (sli.scenarios and scenario.name not in sli.scenarios):
        return False  # without an objective, of another maker's server, or not measured here
    if sli.id not in scenario.objectives and objective.scenarios and scenario.name not in objective.scenarios:
        return False
    return objective.concurrency is None or any(case.concurrency == objective.concurrency for case in scenario.cases)


def needs(*scenarios: str) -> pytest.MarkDecorator:
    """Mark a test with the scenarios that it needs in the suite's run."""
    return pytest.mark.needs(*scenarios)


def each(places: Iterable[tuple[str, ...]]) -> list[object]:
    """Parameters whose first value is a scenario that the suite's run must contain."""
    return [pytest.param(*place, id="-".join(place), marks=needs(place[0])) for place in places]


def needed(items: Sequence[pytest.Item]) -> list[str]:
    """The scenarios that the selected tests need, in the order of a suite."""
    wanted = {name for item in items for mark in item.iter_markers("needs") for name in mark.args}
    return [name for name in SCENARIOS if name in wanted]


def once(folder: Path, make: Callable[[Path], SuiteRun]) -> SuiteRun:
    """Make a run for all workers of a session: the first worker that asks makes the run, the others read it."""
    folder.mkdir(exist_ok=True)
    ended = folder / "ended.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ended.exists():
            name, code, printed = json.loads(ended.read_bytes())
            return SuiteRun(Path(name), code, printed)
        run = make(folder / "runs")
        ended.write_text(json.dumps([str(run.folder), run.code, run.printed]))
        return run


def drive(scenarios: Sequence[str], runs: Path, profile: str, *, external: bool) -> SuiteRun:
    """Run `run_suite.py` as a user does; ``pytest -s`` shows its output."""
    chosen = [part for name in scenarios for part in ("--scenario", name)]
    stack = [] if external else ["--embedded"]
    command = [sys.executable, str(ROOT / "scripts" / "run_suite.py"), "--profile", profile, "--runs", str(runs)]
    sys.stdout.write("\n")
    done = subprocess.Popen([*command, *stack, *chosen], stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    lines = []
    with done.stdout:
        for line in done.stdout:
            sys.stdout.write(line)
            lines.append(line)
    code = done.wait(timeout=DEADLINE)
    folders = [path.parent for path in runs.glob("*/run.json")]
    assert len(folders) == 1, f"run_suite.py ended with {code} and made no run; what it said is above"
    return SuiteRun(folders[0], code, "".join(lines))
