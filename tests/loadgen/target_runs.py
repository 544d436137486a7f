"""Runs of the load generator against a fake server in the same process, with what the server knows of them."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from reelbench.exit_code import ExitCode
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.option_line import NO_DOCUMENT, Options
from reelbench.loadgen.options import NO_BUDGET, check_options
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.reporting.evidence import measurements
from reelbench.reporting.export import export
from tests.fakes.clip import file
from tests.fakes.server import Fake

JOBS = 10
LONGEST_RUN = 60
"""Seconds after which a run has gone wrong."""
ALL = ("quick", "standard", "paper")
OUTCOMES = {"completed": Outcome.COMPLETED, "failed": Outcome.FAILED}
"""Outcome that the client must record for each end at the server."""


def scenario(name: str = "small", jobs: int = JOBS, **changes: Any) -> dict[str, Any]:
    """A scenario of three virtual users that needs nothing but the common operations."""
    case = {
        "name": "n03",
        "model": "closed",
        "concurrency": 3,
        "iterations": dict.fromkeys(ALL, jobs),
        "warmup": dict.fromkeys(ALL, 0),
    }
    values: dict[str, Any] = {
        "name": name,
        "dimension": "reliability",
        "title": "Small run",
        "why": "To test.",
        "steps": ["create", "wait", "content"],
        "encoding": "json",
        "video": {"seconds": "4", "size": "64x48"},
        "time_limit": 30,
        "poll_interval": 0.05,
        "cases": [case],
        "objectives": {},
    }
    return values | changes


@dataclass(frozen=True)
class TargetRun:
    """One run and its reports."""

    folder: Path
    code: ExitCode
    messages: str

    @property
    def jobs(self) -> list[JobRecord]:
        """Records in the order of the plan."""
        return sorted(read_jobs(self.folder), key=lambda job: job.index)

    @property
    def outcomes(self) -> dict[str, int]:
        """Jobs by outcome."""
        return dict(Counter(job.outcome.value for job in self.jobs))

    def lost(self, name: str = "small") -> float | None:
        """Evaluate the run and return the lost jobs; None: not known."""
        export(self.folder, None, formats=())
        kept = measurements.read(self.folder)
        assert kept is not None
        (value,) = [one.value for one in kept.measurements if (one.sli, one.scenario) == ("jobs_lost", name)]
        return value


async def run_against(
    url: str,
    tmp_path: Path,
    *scenarios: Mapping[str, Any],
    document: Path = NO_DOCUMENT,
    budget: str = NO_BUDGET,
    first_job: bool = False,
    **options: Any,
) -> TargetRun:
    """Run scenarios as ``reelbench run`` does, without a stack; by default all jobs of the server are of the plan."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for one in scenarios or (scenario(),):
        (folder / f"{one['name']}.yaml").write_text(yaml.safe_dump(dict(one)))
    chosen = Options(target=url, scenarios=folder, document=document, budget=budget, **options)
    settings = replace(check_options(tmp_path / "run", "trial", chosen), first_job=first_job)
    console = Console(file=io.StringIO(), width=200)
    async with asyncio.timeout(LONGEST_RUN):
        code = await execute(settings, console)
    assert isinstance(console.file, io.StringIO)
    return TargetRun(tmp_path / "run", code, console.file.getvalue())


def assert_agreement(run: TargetRun, fake: Fake, jobs: int = JOBS, *, known_as: Callable[[str], str] = str) -> None:
    """Every job has the outcome that it had at the server, its whole file, and is counted once.

    `known_as` returns the server's identifier of a job from the one that the client has.
    """
    assert run.code == ExitCode.PASS, run.messages
    assert len(run.jobs) == fake.truth.created == jobs
    seen = {known_as(job.job_id or ""): (job.outcome, job.bytes) for job in run.jobs}
    assert seen == {
        job.id: (OUTCOMES[job.end or ""], len(file(job.clip)) if job.end == "completed" else 0)
        for job in fake.truth.jobs
    }
