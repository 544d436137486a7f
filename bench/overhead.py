"""The cost of telemetry: the same load on the same service with telemetry on and off, alternating.

Each pair measures both variants in seeded order, with fresh processes on loopback and the same plan. "On" is the
embedded stack: metrics scraped every second, traces to a file. "Off": the same service and providers without exporters.
The load generator runs in this process in both cases.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from reelbench.bench.generators import BenchError
from reelbench.bench.pairs import reversals
from reelbench.bench.ratio import ratio
from reelbench.bench.variants import IN_FLIGHT, OFF, ON, Variant, drive, running, scenario
from reelbench.loadgen.document import Document
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.reporting.statistics.intervals import summarize
from reelbench.stack.prometheus import PrometheusBinary


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one service."""

    rate: float
    """Completed jobs per second."""
    p95: float
    """P95 of the response time, in seconds."""


def order(pairs: int, seed: int) -> list[tuple[Variant, Variant]]:
    """Return the order within each pair: drawn, and the opposite of it in the next pair."""
    return [(OFF, ON) if reverse else (ON, OFF) for reverse in reversals(pairs, random.Random(seed))]


def measured(jobs: Sequence[JobRecord]) -> Measured:
    """Return rate and P95 of the measured jobs.

    Raises:
        BenchError: not every job was completed.
    """
    counted = [job for job in jobs if not job.warmup]
    summary = summarize([job.done - job.due for job in counted])
    failed = sum(job.outcome is not Outcome.COMPLETED for job in counted)
    if summary is None or failed:
        raise BenchError(f"{failed} of {len(counted)} jobs were not completed; run it again on a quiet machine")
    window = max(job.done for job in counted) - min(job.due for job in counted)
    return Measured(len(counted) / window, summary.p95.value)


def run(
    pairs: int, jobs: int, seed: int, *, document: Document, prometheus: PrometheusBinary, say: Callable[[str], None]
) -> list[tuple[Measured, Measured]]:
    """Measure the pairs; return (on, off) for each pair.

    Args:
        pairs: number of pairs.
        jobs: measured jobs per load.
        seed: seed of the order and of the plans.
        document: what jobs upload.
        prometheus: scrapes the service while telemetry is on.
        say: receives one line for each pair.

    Raises:
        BenchError: a load went wrong.
        StackError: a service did not start.
        KeyboardInterrupt: the user interrupted it.
    """
    found = []
    for number, variants in enumerate(order(pairs, seed), start=1):
        pair: dict[str, Measured] = {}
        for variant in variants:
            with TemporaryDirectory(prefix="reelbench-") as folder:
                load = Path(folder) / "load"
                with running(variant, Path(folder), prometheus) as service:
                    drive(service.url, load, scenario(jobs), seed + number, document)
                pair[variant.name] = measured(read_jobs(load))
        found.append((pair[ON.name], pair[OFF.name]))
        said = ", ".join(f"{variant.name} {_shown(pair[variant.name])}" for variant in variants)
        say(f"pair {number} of {pairs}: {said}")
    return found


def lines(pairs: Sequence[tuple[Measured, Measured]]) -> list[str]:
    """Return the result as lines of text."""
    return [
        f"telemetry on / off, {len(pairs)} pairs, {IN_FLIGHT} jobs in flight",
        f"jobs/s        {_ratios([on.rate for on, _ in pairs], [off.rate for _, off in pairs])}",
        f"P95 response  {_ratios([on.p95 for on, _ in pairs], [off.p95 for _, off in pairs])}",
    ]


def _ratios(on: Sequence[float], off: Sequence[float]) -> str:
    middle = median(one / other for one, other in zip(on, off, strict=True))
    return f"median {middle:.3f}, mean {ratio(on, off)}"


def _shown(found: Measured) -> str:
    return f"{found.rate:.2f} jobs/s, P95 {found.p95:.3f} s"
