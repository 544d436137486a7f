"""Repetitions of a run: what each indicator is over the runs, and how much it differs from one to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import repeated_report
from reelbench.reporting.compare.folders import REPETITIONS_FILE, REPORTS_DIR
from reelbench.reporting.compare.kinds import Observed, title_of, unit_of
from reelbench.reporting.compare.pairs import observations, places
from reelbench.reporting.compare.repeated import Repeated, RepetitionsRecord
from reelbench.reporting.compare.side import Side, read_evidence
from reelbench.reporting.compare.written import write
from reelbench.reporting.statistics.intervals import Interval, mean_interval, percentile


@dataclass(frozen=True, slots=True)
class Written:
    """Repetitions that were reported."""

    record: RepetitionsRecord
    path: Path
    """Of the report."""

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for the terminal."""
        n = len(self.record.runs)
        return f"repetitions: {n} run{'s' if n > 1 else ''} of one plan", str(self.path)


def write_repetitions(folder: Path, runs: Sequence[Path]) -> Written:
    """Write ``repetitions_report.md`` and ``repetitions.json`` of exported runs of one plan; the same bytes each time.

    Args:
        folder: The folder of repetitions, beside those of the runs.
        runs: The run directories, in order of time; one at least.

    Raises:
        RecordError: one cannot be read.
    """
    catalogue = load()
    record = repetitions(Side(folder.resolve().name, tuple(read_evidence(path, catalogue) for path in runs)))
    return Written(record, write(folder / REPORTS_DIR, REPETITIONS_FILE, record, repeated_report.build(record)))


def repetitions(side: Side) -> RepetitionsRecord:
    """Summarize every indicator that has a direction, in each place in which a run has data."""
    found = [
        _repeated(title_of(sli), unit_of(sli), sli.id, (m.scenario, m.case, m.member), values)
        for sli in side.runs[0].catalogue.slis
        if sli.better is not None
        for m in places(side, sli)
        if (values := observations(side, sli, m))
    ]
    return RepetitionsRecord(
        name=side.name,
        runs=tuple(run.run.run_id for run in side.runs),
        plan_hashes=tuple(dict.fromkeys(run.run.plan_hash for run in side.runs)),
        problems=side.problems,
        indicators=tuple(found),
    )


def _repeated(title: str, unit: str, sli: str, place: tuple[str, str, str], observed: tuple[Observed, ...]) -> Repeated:
    values = np.sort(np.asarray([o.value for o in observed]))
    n = len(values)
    mean = math.fsum(values) / n
    stddev = float(np.std(values, ddof=1)) if n > 1 else None
    median = percentile(values, 0.5)
    between = mean_interval(list(values))
    return Repeated(
        sli=sli,
        title=title,
        unit=unit,
        scenario=place[0],
        case=place[1],
        member=place[2],
        values=tuple(o.value for o in observed),
        n=n,
        mean=mean,
        interval=between,
        median=median.value,
        median_interval=median.interval if median.interval.upper is not None else Interval(None, None),
        stddev=stddev,
        cv=stddev / abs(mean) if stddev is not None and mean else None,
        minimum=float(values[0]),
        maximum=float(values[-1]),
        within=observed[0].within,
    )
