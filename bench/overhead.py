"""The cost of telemetry: the same load on the same service with telemetry on and off, alternating.

Both variants have processes of their own from beginning to end; while one has load, those of the other are stopped. A
pair is four loads of one plan, A B B A, with a drawn A: the speed of the machine changes within seconds, and a steady
change cancels out. "On" is the embedded stack: metrics scraped every second, traces to a file. "Off": the same service
and providers without exporters. The load generator runs in this process in both cases.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from reelbench.bench.generators import BenchError
from reelbench.bench.pairs import reversals
from reelbench.bench.ratio import ratio
from reelbench.bench.variants import IN_FLIGHT, OFF, ON, Running, Variant, drive, running, scenario
from reelbench.loadgen.document import Document
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.reporting.statistics.intervals import summarize
from reelbench.stack.prometheus import PrometheusBinary


@dataclass(frozen=True, slots=True)
class Measured:
    """The loads of one variant in one pair."""

    rate: float
    """Completed jobs per second."""
    p95: float
    """P95 of the response time, in seconds."""


def order(pairs: int, seed: int) -> list[tuple[Variant, ...]]:
    """Return the order of the loads of each pair: the first is drawn, and is the other one in the next pair."""
    return [(OFF, ON, ON, OFF) if reverse else (ON, OFF, OFF, ON) for reverse in reversals(pairs, random.Random(seed))]


def measured(loads: Sequence[Sequence[JobRecord]]) -> Measured:
    """Return rate and P95 of the measured jobs of some loads.

    Raises:
        BenchError: not every job was completed.
    """
    counted = [[job for job in jobs if not job.warmup] for jobs in loads]
    all_jobs = [job for jobs in counted for job in jobs]
    summary = summarize([job.done - job.due for job in all_jobs])
    failed = sum(job.outcome is not Outcome.COMPLETED for job in all_jobs)
    if summary is None or failed:
        raise BenchError(f"{failed} of {len(all_jobs)} jobs were not completed; run it again on a quiet machine")
    seconds = math.fsum(max(job.done for job in jobs) - min(job.due for job in jobs) for jobs in counted)
    return Measured(len(all_jobs) / seconds, summary.p95.value)


def run(
    pairs: int, jobs: int, seed: int, *, document: Document, prometheus: PrometheusBinary, say: Callable[[str], None]
) -> list[tuple[Measured, Measured]]:
    """Measure the pairs; return (on, off) for each pair.

    Args:
        pairs: number of pairs.
        jobs: measured jobs of each of the four loads of a pair.
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
    with ExitStack() as stack:
        services: dict[Variant, Running] = {}
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="reelbench-")))
        for variant in (ON, OFF):
            (own := folder / variant.name).mkdir()
            services[variant] = stack.enter_context(running(variant, own, prometheus))
            services[variant].pause()
        for variant, service in services.items():  # the first load of a process pays for what happens once
            with service.resumed():
                drive(service.url, folder / f"first-{variant.name}", scenario(IN_FLIGHT), seed, document)
        for number, variants in enumerate(order(pairs, seed), start=1):
            loads: dict[Variant, list[list[JobRecord]]] = {ON: [], OFF: []}
            for place, variant in enumerate(variants):
                load = folder / f"{number}-{place}"
                with services[variant].resumed():
                    drive(services[variant].url, load, scenario(jobs), seed + number, document)
                loads[variant].append(list(read_jobs(load)))
            on, off = measured(loads[ON]), measured(loads[OFF])
            found.append((on, off))
            say(f"pair {number} of {pairs}: on {_shown(on)}, off {_shown(off)}")
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
