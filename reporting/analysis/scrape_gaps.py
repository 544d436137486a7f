"""Samples that Prometheus lacks in a case: what is read from them does not show the whole case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import pairwise

import msgspec

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.process_usage import SERVICE, memory_samples
from reelbench.reporting.catalogue.sli import ReportSection, Sli
from reelbench.reporting.evidence.evidence import Evidence, once, place_name
from reelbench.reporting.evidence.process_samples import Source

MAX_MISSING = 0.1
"""Share of a case without samples: a peak or a mean over the rest is not that of the case."""
LATE = 2.0
"""Intervals between two samples from which on a scrape is missing; a scrape may be late by less than one."""
NEED_SAMPLES = frozenset({ReportSection.MEMORY, ReportSection.CPU, ReportSection.LEAK})
"""Sections of indicators that are read from samples through a case; counters need only the samples around it."""
_SERVICE = "service"


class ScrapeGap(msgspec.Struct, frozen=True):
    """Samples of a case that are missing."""

    scenario: str
    case: str
    share: float
    """Of the case, of the process with the longest gaps."""
    jobs: tuple[str, ...]
    """Components without samples; empty: all, so Prometheus itself stood still."""

    @property
    def of_service(self) -> bool:
        """Whether only the service did not answer the scrapes, which is a fault of the service."""
        return self.jobs == (_SERVICE,)

    @property
    def reason(self) -> str:
        """Why the indicators that need the samples are not judged."""
        what = f"{', '.join(self.jobs)} did not answer" if self.jobs else "Prometheus did not make"
        return f"{what} the scrapes of {self.share * 100:.0f} % of the case, more than {MAX_MISSING * 100:g} %"

    @property
    def sentence(self) -> str:
        """The reason with its place."""
        return f"{place_name(self.scenario, self.case)}: {self.reason}"


@once
def scrape_gaps(evidence: Evidence, dimension: str) -> tuple[ScrapeGap, ...]:
    """Return the cases of a dimension whose indicators rest on scrapes of which too many are missing."""
    return tuple(
        gap
        for scenario, case in evidence.cases(dimension)
        if (gap := _gap(evidence, scenario, case)) is not None and not _read_otherwise(evidence, scenario, case)
    )


def gap_in(evidence: Evidence, dimension: str, sli: Sli, places: Collection[tuple[str, str]]) -> ScrapeGap | None:
    """Return the gap that spoils an indicator in one of some places; None: there is none, or it needs no samples."""
    if sli.section not in NEED_SAMPLES:
        return None
    return next((gap for gap in scrape_gaps(evidence, dimension) if (gap.scenario, gap.case) in places), None)


def _read_otherwise(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> bool:
    """Return whether the load generator has read the processes itself, so nothing of the case rests on scrapes."""
    found = memory_samples(evidence, scenario.name, case, SERVICE)
    return found is not None and found.source is Source.READER


def _gap(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> ScrapeGap | None:
    stack = evidence.stack
    if stack is None or stack.prometheus is None or case.started is None or case.ended is None:
        return None
    interval, length = stack.prometheus.scrape_interval, case.ended - case.started
    if not isinstance(interval, float):  # that of another Prometheus, whose series are not read through cases
        return None
    scrapes: dict[str, set[float]] = defaultdict(set)  # any series shows a scrape: some begin in the middle of a case
    for series in evidence.series:
        if (series.scenario, series.case) == (scenario.name, case.name):
            scrapes[series.labels.get("job", "")].update(series.times)
    if not scrapes or length <= 0:
        return None
    missing = {job: without_samples(sorted(at), case.started, case.ended, interval) for job, at in scrapes.items()}
    gone = tuple(job for job, seconds in sorted(missing.items()) if seconds > MAX_MISSING * length)
    if not gone:
        return None
    share = max(missing.values()) / length
    return ScrapeGap(scenario.name, case.name, share, () if len(gone) == len(missing) > 1 else gone)


def without_samples(times: Sequence[float], started: float, ended: float, interval: float) -> float:
    """Return the seconds of a case that lie in gaps between samples, less the interval that any two are apart."""
    inside = [at for at in times if started < at < ended]
    borders = [
        max((at for at in times if at <= started), default=started),
        *inside,
        min((at for at in times if at >= ended), default=ended),
    ]
    gaps = (
        min(later, ended) - max(earlier + interval, started)
        for earlier, later in pairwise(borders)
        if later - earlier > LATE * interval
    )
    return sum(max(0.0, gap) for gap in gaps)
