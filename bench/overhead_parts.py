"""What each part of the telemetry costs in CPU time a job of service, providers and Prometheus.

Every variant has processes of its own, which are stopped while another one has load. In each round each variant gets
the same load, one after the other and in seeded order; a part is the mean of the differences within the rounds. The
part "instrumentation" is what spans and metrics share, such as the middleware of requests: it is there as soon as one
of them is on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tabulate import tabulate

from reelbench.bench.overhead import measured
from reelbench.bench.variants import IN_FLIGHT, OFF, ON, Running, Variant, drive, running, scenario
from reelbench.loadgen.document import Document
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.reporting.statistics.intervals import mean_interval
from reelbench.stack.prometheus import PrometheusBinary

UNSCRAPED: Final = Variant("not scraped")
SPANS: Final = Variant("spans only", {"OTEL_METRICS_EXPORTER": "none"})
METRICS: Final = Variant("metrics only", {"OTEL_TRACES_EXPORTER": "none"})
ISOLATED: Final = Variant("off, nothing propagated", {**OFF.variables, "OTEL_PROPAGATORS": "none"})
VARIANTS: Final = (ON, UNSCRAPED, SPANS, METRICS, OFF, ISOLATED)

Round = Mapping[Variant, float]
"""CPU seconds a job of each variant."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the telemetry."""

    name: str
    cost: Callable[[Round], float]
    """CPU seconds a job, of the variants of one round."""
    how: str
    """How the cost is found, for a reader."""


PARTS: Final = (
    Part("spans", lambda cpu: cpu[UNSCRAPED] - cpu[METRICS], "not scraped, with and without an exporter of traces"),
    Part("metrics", lambda cpu: cpu[UNSCRAPED] - cpu[SPANS], "not scraped, with and without an exporter of metrics"),
    Part("scrape", lambda cpu: cpu[ON] - cpu[UNSCRAPED], "with and without Prometheus, whose CPU time counts"),
    Part(
        "instrumentation",
        lambda cpu: cpu[SPANS] + cpu[METRICS] - cpu[UNSCRAPED] - cpu[OFF],
        "what spans and metrics share: the rest of the total",
    ),
    Part("total", lambda cpu: cpu[ON] - cpu[OFF], "on and off"),
    Part("propagation", lambda cpu: cpu[OFF] - cpu[ISOLATED], "off, with and without propagators: not in the total"),
)


def run(
    rounds: int, jobs: int, seed: int, *, document: Document, prometheus: PrometheusBinary, say: Callable[[str], None]
) -> list[Round]:
    """Measure the variants in rounds.

    Args:
        rounds: number of rounds.
        jobs: jobs per load, in addition to those of the warm-up, which count too.
        seed: seed of the order and of the plans.
        document: what jobs upload.
        prometheus: scrapes one of the variants.
        say: receives one line for each round.

    Raises:
        BenchError: a load went wrong.
        StackError: a service did not start.
        KeyboardInterrupt: the user interrupted it.
    """
    draw = random.Random(seed)
    with ExitStack() as stack:
        started: dict[Variant, tuple[Running, Path]] = {}
        for variant in VARIANTS:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="reelbench-")))
            started[variant] = stack.enter_context(running(variant, folder, prometheus)), folder
            started[variant][0].pause()
        # The first load of a process also pays for what happens once, such as compiled expressions.
        for service, folder in started.values():
            _cpu(service, folder / "warm-up", 1, seed, document)
        found: list[Round] = []
        for number in range(1, rounds + 1):
            one = {}
            for variant in draw.sample(VARIANTS, len(VARIANTS)):
                service, folder = started[variant]
                one[variant] = _cpu(service, folder / f"load-{number}", jobs, seed + number, document)
            found.append(one)
            say(f"round {number} of {rounds}: {', '.join(f'{v.name} {1e3 * one[v]:.1f} ms' for v in VARIANTS)}")
    return found


def lines(rounds: Sequence[Round]) -> list[str]:
    """Return the parts as lines of text, in microseconds of CPU a job."""
    rows = []
    for part in PARTS:
        costs = [1e6 * part.cost(one) for one in rounds]
        limits = mean_interval(costs)
        shown = "" if limits.lower is None else f"{limits.lower:.0f} to {limits.upper:.0f}"
        rows.append((part.name, f"{math.fsum(costs) / len(costs):.0f}", shown, part.how))
    table = tabulate(rows, ("part", "us", "95 % interval", "measured as the difference of"), disable_numparse=True)
    return [f"CPU time a job of service, providers and Prometheus, {len(rounds)} rounds", *table.splitlines()]


def _cpu(service: Running, folder: Path, jobs: int, seed: int, document: Document) -> float:
    """Return the CPU seconds a job of one load, of which every job must be completed."""
    before = service.cpu()
    with service.resumed():
        drive(service.url, folder, scenario(jobs), seed, document)
    seconds = service.cpu() - before
    measured([list(read_jobs(folder))])
    return seconds / (jobs + IN_FLIGHT)
