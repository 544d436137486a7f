"""A trend: read the runs, find the changes, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.render import markdown
from reelbench.reporting.render.names import FIGURES
from reelbench.reporting.statistics.change_points import LEAST
from reelbench.reporting.trend import report
from reelbench.reporting.trend.history import History, read_history
from reelbench.reporting.trend.judge import LEVEL, judge
from reelbench.reporting.trend.records import TrendRecord

DATA_FILE = "trend.json"


class Written(msgspec.Struct, frozen=True):
    """A trend that was written."""

    record: TrendRecord
    summary: tuple[str, ...]
    """Lines for the terminal; the last one is the path of the report."""


def export(paths: Sequence[Path], folder: Path, *, newest: int | None = None, charts: bool = True) -> Written:
    """Write ``trend_report.md``, its charts and ``trend.json`` into `folder`; the same runs give the same bytes.

    Args:
        paths: Folders of runs or of CI artefacts, or files ``results.json``.
        folder: Where the report is written.
        newest: Number of runs that are read of each group; None: all.
        charts: Also draw the charts.

    Raises:
        RecordError: nothing was found.
    """
    record = trend(read_history(paths, newest), load())
    made = report.build(record)
    write_atomically(folder / DATA_FILE, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    path = folder / f"{made.name}.md"
    write_atomically(path, markdown.render(made, charts=charts).encode())
    if charts and made.charts:
        from reelbench.reporting.render import figures  # noqa: PLC0415 - matplotlib takes a second

        for chart in made.charts:
            write_atomically(folder / FIGURES / f"{chart.name}.svg", figures.svg(chart))
    return Written(record, (*report.lines(record), str(path)))


def trend(history: History, catalogue: Catalogue) -> TrendRecord:
    """Find the changes in each group of runs."""
    return TrendRecord(
        level=LEVEL,
        least_runs=LEAST,
        groups=tuple(judge(common, runs, catalogue) for common, runs in history.groups.items()),
        left_out=history.left_out,
    )
