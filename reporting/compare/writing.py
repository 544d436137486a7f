"""Files of a report about several runs: its data, and every format by the renderers of a run's reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.reporting.compare.folders import REPORTS_DIR
from reelbench.reporting.document.report import Report
from reelbench.reporting.formats import DEFAULT, DRAWN, Format
from reelbench.reporting.render.drawing import Form, draw_here
from reelbench.reporting.render.names import FIGURES, figures_of
from reelbench.reporting.results.comparison_data import ComparisonData

R = TypeVar("R", bound=msgspec.Struct)


class Output(msgspec.Struct, frozen=True):
    """What to write."""

    formats: frozenset[Format] = frozenset(DEFAULT)
    """JSON is written in any case: later comparisons read it."""
    charts: bool = True
    html: Path | None = None
    """Where the page is written too."""


MARKDOWN: Final = Output(frozenset({Format.MARKDOWN}), charts=False)
"""The report alone, with its data."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A report, its page, and its rows as numbers."""

    report: Report
    page: Report | None = None
    """The report of the page, where it differs."""
    status: str = ""
    """The verdict in a few words."""
    data: ComparisonData | None = None
    """What the script of the page draws."""
    rows: Mapping[str, Sequence[msgspec.Struct]]
    """Records for CSV files, by the names of the files without suffix."""


class Written(msgspec.Struct, Generic[R], frozen=True):
    """A record that was written with its report."""

    record: R
    path: Path
    """Path of the report: the first of its files."""
    summary: tuple[str, ...]
    """Lines for the terminal; the last one is the path."""
    pages: tuple[Path, ...] = ()
    """The HTML pages."""


def write(
    folder: Path, data_file: str, record: R, content: Content, *lines: str, output: Output = MARKDOWN
) -> Written[R]:
    """Write a record as JSON and its report below `folder`, each file atomically.

    Args:
        folder: The folder of a run, of repetitions, of an ablation, or of an interleaved comparison.
        data_file: Name of the JSON file.
        record: The record.
        content: The report.
        lines: Lines for the terminal.
        output: What to write.
    """
    folder = folder / REPORTS_DIR
    data = folder / data_file
    write_atomically(data, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    paths, pages = [], []
    for name, text in _files(content, output):
        path = folder / name
        write_atomically(path, text)
        paths.append(path)
        if path.suffix == ".html":
            pages.append(path)
            if output.html is not None:
                write_atomically(output.html, text)
                pages.append(output.html)
    path = paths[0] if paths else data
    return Written(record, path, (*lines, str(path)), tuple(pages))


def _files(content: Content, output: Output) -> Iterator[tuple[str, bytes]]:
    report, formats = content.report, output.formats
    page = content.page or report
    wanted = formats | ({Format.HTML} if output.html is not None else frozenset())
    pictures = output.charts and not DRAWN.isdisjoint(wanted)
    charts = {chart.name: chart for chart in figures_of((report, page))}
    forms: tuple[Form, ...] = ("svg", "pdf") if Format.LATEX in formats else ("svg",)
    figures = draw_here(tuple(charts.values()), forms) if pictures else {}
    svgs = {name: file for (name, form), file in figures.items() if form == "svg"}
    named = {chart.name for chart in report.charts} if output.charts else set()
    short = report.name.removesuffix("_report")
    if Format.MARKDOWN in formats:
        from reelbench.reporting.render import markdown  # noqa: PLC0415 - where runs are only named, no report is written

        yield f"{report.name}.md", markdown.render(report, charts=output.charts).encode()
        yield from ((f"{FIGURES}/{name}.svg", svg) for name, svg in svgs.items() if name in named)
    if Format.HTML in wanted:
        from reelbench.reporting.render import html  # noqa: PLC0415 - only this format needs Jinja

        yield f"{short}.html", html.render_comparison(page, content.status, svgs, content.data).encode()
    if Format.CSV in formats:
        from reelbench.reporting.render import csv  # noqa: PLC0415 - loads the Markdown parser

        yield from ((f"csv/{name}.csv", csv.records_csv(rows).encode()) for name, rows in content.rows.items() if rows)
    if Format.LATEX in formats:
        from reelbench.reporting.render import latex  # noqa: PLC0415 - loads the Markdown parser

        files = latex.render((report,), charts=output.charts, title=report.title, main=f"{short}.tex")
        yield from ((f"latex/{name}", text.encode()) for name, text in files.items())
        found = ((f"{name}.{form}", file) for (name, form), file in figures.items() if name in named)
        yield from ((f"latex/{FIGURES}/{name}", file) for name, file in found)
