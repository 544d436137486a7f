"""Reelbench's load generator in the benchmark: a complete run of a scenario built in code."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import uvloop
from rich.console import Console

from reelbench.bench.generators import BenchError, Command, Figures, Load, one_case
from reelbench.exit_code import ExitCode
from reelbench.loadgen import telemetry
from reelbench.loadgen.document import SAMPLE, read_document
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.inputs import Inputs
from reelbench.loadgen.options import Settings
from reelbench.loadgen.plan.scenario import PROFILES, Scenario
from reelbench.loadgen.record.jobs import read_jobs, read_requests
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.loadgen.record.run_files import RecordError
from reelbench.loadgen.target.target_file import load_preset
from reelbench.reporting.statistics.intervals import summarize
from reelbench.stack.endpoints import free_ports
from reelbench.stack.environment import module_command, scraped_telemetry

SCRAPE: Final = 1.0
MOST_IN_FLIGHT: Final = 1000
HOLD: Final = 0.3
"""Seconds from the end of the run to SIGTERM, so that all files are closed before the signal."""


@dataclass(slots=True)
class Ours:
    """Reelbench. Metrics are scraped as in the embedded stack; spans go to a file, or only trace headers are sent."""

    spans: bool
    _port: int = 0
    _scraped: float = 0.0
    _ended: float | None = None
    """Time at which the end of the run was detected; infinite after the signal."""

    @property
    def name(self) -> str:
        """Name in the tables."""
        return f"Reelbench, {'spans to a file' if self.spans else 'trace headers only'}"

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run this module."""
        (self._port,), self._ended = free_ports(1), None
        without_spans = {} if self.spans else {"OTEL_TRACES_EXPORTER": "none"}
        return Command(
            module_command("bench.ours", target, str(folder), json.dumps(scenario(load))),
            scraped_telemetry(self._port) | without_spans,
        )

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Scrape the metrics; end the process after its run, since it serves metrics until then."""
        if time.monotonic() - self._scraped >= SCRAPE:
            self._scraped = time.monotonic()
            with suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{self._port}/metrics", timeout=SCRAPE)
        if self._ended is None:
            with suppress(RecordError):
                self._ended = time.monotonic() if read_run(folder / "run").ended is not None else None
        elif time.monotonic() - self._ended >= HOLD:
            process.send_signal(signal.SIGTERM)
            self._ended = math.inf

    def figures(self, folder: Path) -> Figures:
        """Read the run."""
        try:
            jobs, sent = read_jobs(folder / "run"), read_requests(folder / "run")
        except RecordError as error:
            raise BenchError(f"{self.name} left no run: {error}") from error
        summary = summarize([job.done - job.due for job in jobs])
        if summary is None:
            raise BenchError(f"{self.name} sent nothing")
        late = sorted(job.sent - job.due for job in jobs)[math.ceil(0.99 * len(jobs)) - 1]
        return Figures(requests=len(list(sent)), p95=summary.p95.value, dropped=0, late=late)


def scenario(load: Load) -> dict[str, Any]:
    """Return the load in the form of a scenario file."""
    case: dict[str, Any]
    if load.mode == "rate":
        case = {"model": "closed", "concurrency": load.users}
        case |= {"iterations": dict.fromkeys(PROFILES, load.jobs), "warmup": dict.fromkeys(PROFILES, 0)}
    else:
        case = {"model": "open", "arrivals": "constant", "rate": load.rate, "max_in_flight": MOST_IN_FLIGHT}
        case |= {"seconds": dict.fromkeys(PROFILES, load.seconds), "warmup_seconds": dict.fromkeys(PROFILES, 0)}
    steps = ["create", "wait", *(["content"] if load.mode != "freeze" else [])]
    return one_case("bench", case, steps, encoding="json")


def main(target: str, folder: Path, spec: dict[str, Any]) -> int:
    """Run a scenario as the command ``python -m reelbench.loadgen run`` does; return its exit code."""
    settings = Settings(
        run_dir=folder / "run",
        run_id="bench",
        scenarios=[Scenario.model_validate(spec)],
        profile="quick",
        seed=1,
        target=target,
        server=load_preset("reelbench"),
        inputs=Inputs(read_document(SAMPLE)),
        named=True,
    )
    telemetry.configure("loadgen")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(execute(settings, Console(stderr=True)))
    finally:
        telemetry.shutdown()
    # On a busy machine, the signal of `attend` can arrive before the process awaits it; the run was complete by then.
    whole = read_run(settings.run_dir).state is RunState.COMPLETED
    return ExitCode.PASS if code == ExitCode.INTERRUPTED and whole else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])))
