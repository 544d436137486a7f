"""The server's own metrics, read from Prometheus: differences at the borders of each case, and gauges through it.

Nothing is interpolated: every number is made of stored samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, RunRecord, ScenarioRecord
from reelbench.loadgen.record.stack import MetricsSourceRecord, StackRecord
from reelbench.reporting.catalogue.server_metrics import MetricSet, ServerMetric, ServerRole, known_sets
from reelbench.reporting.evidence.case_samples import MARGIN, PARTS, UP, CaseSamples, SourceReader, Window
from reelbench.reporting.evidence.evidence import Evidence, began
from reelbench.reporting.evidence.prometheus import Prometheus
from reelbench.reporting.evidence.server_evidence import (
    ServerCount,
    ServerEvidence,
    ServerGauge,
    ServerPlace,
    read,
    write,
)

LEAD = 10.0
"""Least seconds around a case in which a sample is searched."""
INTERVALS = 3.5
"""Scrape intervals around a case in which a sample is searched."""
SPARE = 1.2
"""Scrape intervals after a case in which the next scrape has ended."""


def lag_of(stack: StackRecord | None) -> float:
    """Return the seconds after a case in which every source, and the stack itself, has a new sample."""
    if stack is None:
        return 0.0
    own = stack.prometheus.scrape_interval if stack.prometheus else None
    intervals = [source.interval for source in stack.server_metrics]
    return SPARE * max([*intervals, own if isinstance(own, float) else 0.0])


def in_theirs(stack: StackRecord | None) -> bool:
    """Return True when the Prometheus of the user has metrics of the server."""
    return stack is not None and any(not source.scraped for source in stack.server_metrics)


def server_of(
    run_dir: Path, evidence: Evidence, ours: Prometheus | None, theirs: Prometheus | None
) -> ServerEvidence | None:
    """Return what the server's metrics said: read where a Prometheus is there, and kept; None without a source.

    Sources whose Prometheus is not there keep what was read of them before.

    Raises:
        QueryError: Prometheus did not answer.
        RecordError: what was kept cannot be read.
    """
    sources = evidence.stack.server_metrics if evidence.stack else ()
    if not sources:
        return None
    kept = read(run_dir)
    if ours is None and theirs is None and kept is not None:
        return kept
    found = read_server(evidence.run, evidence.jobs, sources, ours, theirs)
    if kept is not None:
        absent = {n for n, one in enumerate(sources, 1) if (ours if one.scraped else theirs) is None}
        found = msgspec.structs.replace(
            found,
            counts=(*found.counts, *(one for one in kept.counts if one.source in absent)),
            gauges=(*found.gauges, *(one for one in kept.gauges if one.source in absent)),
            places=(*found.places, *(one for one in kept.places if one.source in absent)),
        )
    write(run_dir, found)
    return found


def windows(run: RunRecord, jobs: Sequence[JobRecord], lead: float) -> list[Window]:
    """Return every case that ended, in the order of the run."""
    sent = sorted(job.sent for job in jobs)
    found = []
    for scenario, case in _cases(run):
        assert case.started is not None
        assert case.ended is not None
        following = next((at for at in sent if at > case.ended), math.inf)
        quiet = min(case.ended + lead, following - MARGIN)
        found.append(Window(scenario.name, case.name, case.started, case.ended, quiet))
    return found


def _cases(run: RunRecord) -> Iterator[tuple[ScenarioRecord, CaseRecord]]:
    for scenario in run.scenarios:
        if began(scenario):
            yield from (
                (scenario, case) for case in scenario.cases if case.started is not None and case.ended is not None
            )


def read_server(
    run: RunRecord,
    jobs: Sequence[JobRecord],
    sources: Sequence[MetricsSourceRecord],
    ours: Prometheus | None,
    theirs: Prometheus | None,
) -> ServerEvidence:
    """Read every source in every case that ended.

    Args:
        run: The run.
        jobs: Its jobs, whose times say when nothing was sent.
        sources: Where the metrics are.
        ours: The Prometheus that scraped the pages; None: it is not there.
        theirs: The Prometheus of the user; None: it is not there.

    Raises:
        QueryError: Prometheus did not answer.
    """
    counts: list[ServerCount] = []
    gauges: list[ServerGauge] = []
    places: list[ServerPlace] = []
    for number, source in enumerate(sources, 1):
        prometheus = ours if source.scraped else theirs
        if prometheus is None or not source.names:
            continue
        sets = [known_sets()[name] for name in source.names if name in known_sets()]
        lead = max(LEAD, INTERVALS * source.interval)
        for asked in _ask(prometheus, source.selector, sets, windows(run, jobs, lead), lead):
            reader = SourceReader(number, asked, sets)
            places.append(reader.place())
            counts += reader.counts()
            gauges += reader.gauges()
    return ServerEvidence(
        run_id=run.run_id,
        sources=tuple(sources),
        counts=tuple(counts),
        gauges=tuple(gauges),
        places=tuple(places),
    )


def _ask(
    prometheus: Prometheus, selector: str, sets: Sequence[MetricSet], found: Sequence[Window], lead: float
) -> Iterator[CaseSamples]:
    metrics = [(one, metric) for one in sets for metric in one.metrics]
    cumulative = _names((s, m) for s, m in metrics if m.type != "gauge")
    followed = _names((s, m) for s, m in metrics if _followed(m))
    around, through = _narrowed(selector, cumulative), _narrowed(selector, [*followed, UP])
    asked = []
    for one in found:
        asked.append((f"{around}[{_milliseconds(lead)}ms]", round(one.started, 3)))
        asked.append((f"{around}[{_milliseconds(lead)}ms]", round(one.ended + lead, 3)))
        length = one.ended - one.started + 2 * lead
        asked.append((f"{through}[{_milliseconds(length)}ms]", round(one.ended + lead, 3)))
    answers = prometheus.matrices(asked)
    for position, one in enumerate(found):
        yield CaseSamples(one, *answers[3 * position : 3 * position + 3])


def _followed(metric: ServerMetric) -> bool:
    """Return True for a metric that is read through the case: gauges, and counters that show restarts and updates."""
    return metric.type == "gauge" or metric.role in {ServerRole.REQUESTS, ServerRole.GPU_ENERGY, ServerRole.CPU_SECONDS}


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _names(metrics: Iterable[tuple[MetricSet, ServerMetric]]) -> list[str]:
    """Return every name that these metrics can have."""
    found = {
        f"{prefix}{name}{part}"
        for one, metric in metrics
        for prefix in one.prefixes
        for name in (metric.metric, *([metric.per] if metric.per else []))
        for part in PARTS[metric.type]
    }
    return sorted(found)


def _narrowed(selector: str, names: Iterable[str]) -> str:
    """Return a selector in braces, narrowed down to these metrics."""
    inner = selector.strip()[1:-1].strip().rstrip(",")
    return f'{{{inner}{"," if inner else ""}__name__=~"{"|".join(names)}"}}'
