"""From two folders to the report of their comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import report
from reelbench.reporting.compare.check import CompareError, refusals
from reelbench.reporting.compare.compare import compare
from reelbench.reporting.compare.finding import ComparisonRecord, Word
from reelbench.reporting.compare.folders import COMPARISON_FILE, REPORTS_DIR
from reelbench.reporting.compare.side import read_side
from reelbench.reporting.compare.written import write

ONE_RUN = (
    "note: one run a side, so what differs from run to run is not covered; repeat both with run_suite.py --repeat 5"
)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison wrote and found."""

    record: ComparisonRecord
    path: Path
    """Of the report."""

    @property
    def worse(self) -> bool:
        """True when a verdict is worse."""
        return self.record.count(Word.WORSE) > 0

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for the terminal."""
        counts = ", ".join(f"{self.record.count(word)} {word}" for word in report.ORDER)
        lines = f"comparison with {self.record.baseline.name}: {counts}", str(self.path)
        return lines if self.record.over_runs else (ONE_RUN, *lines)


def export(run: Path, baseline: Path, *, force: bool = False) -> Compared:
    """Write ``comparison_report.md`` and ``comparison.json`` beside the reports of `run`; the same bytes each time.

    Args:
        run: A run directory that was exported, or a folder of repetitions.
        baseline: What it is compared with: the same.
        force: Compare what would mislead, and say so in the report.

    Raises:
        CompareError: the two cannot be compared, with every reason.
        RecordError: a run cannot be read or was not exported yet.
    """
    catalogue = load()
    sides = read_side(run, catalogue), read_side(baseline, catalogue)
    reasons = refusals(*sides)
    if reasons and not force:
        raise CompareError(tuple(f"{reason}, or add --force" for reason in reasons))
    (record,) = compare([sides], forced=reasons)
    path = write(run / REPORTS_DIR, COMPARISON_FILE, record, report.build(record))
    return Compared(record, path)
