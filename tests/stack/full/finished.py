"""A finished run on a running stack, with its records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.record.jobs import read_jobs, read_requests
from reelbench.loadgen.record.run import read_run
from tests.commands import stack_of
from tests.stack.full.native import ROOT, NativeStack


@dataclass
class Run:
    folder: Path
    stack: NativeStack
    output: str

    def __post_init__(self) -> None:
        self.record = read_run(self.folder)
        self.settled = stack_of(self.folder)
        self.all_jobs = read_jobs(self.folder)
        self.jobs = [job for job in self.all_jobs if not job.warmup]
        self.requests = [request for request in read_requests(self.folder) if not request.warmup]
        self.measurements = json.loads((self.folder / "measurements.json").read_bytes())["measurements"]
        self.at = self.settled.settled_at

    def ours(self, metric: str, **labels: str) -> str:
        matchers = ",".join(f'{key}="{value}"' for key, value in {"run_id": self.record.run_id, **labels}.items())
        return f"last_over_time({metric}{{{matchers}}}[10m])"

    def measured(self, sli: str, scenario: str, case: str) -> float | None:
        key = (sli, scenario, case)
        found: Iterator[float | None] = (
            m["value"] for m in self.measurements if (m["sli"], m["scenario"], m["case"]) == key
        )
        return next(found)


def measure(stack: NativeStack, runs: Path, *scenarios: str) -> Run:
    """Measure the stack with run_suite.py, which finds it by its addresses."""
    chosen = [part for name in scenarios for part in ("--scenario", name)]
    done = subprocess.run(
        [sys.executable, "scripts/run_suite.py", "--runs", str(runs), "--no-charts", *chosen],
        cwd=ROOT,
        env=stack.runner_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    (folder,) = runs.iterdir()
    assert (folder / "measurements.json").exists(), done.stderr
    return Run(folder, stack, done.stderr + done.stdout)
