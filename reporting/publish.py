"""Write the reports and results of a run in the requested formats; the same run gives the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.reporting.document.report import Report
from reelbench.reporting.formats import Format
from reelbench.reporting.render import markdown
from reelbench.reporting.render.drawing import Drawing, Form
from reelbench.reporting.render.names import FIGURES, figures_of
from reelbench.reporting.results.outcome import RunResult, results
from reelbench.reporting.results.page_data import page_data
from reelbench.reporting.results.results import Results, to_json
from reelbench.reporting.results.summary import Summary

RESULTS = "results.json"
PAGE = "report.html"
"""All reports of a run on one page."""


def publish(folder: Path, found: RunResult, formats: Collection[Format], drawing: Drawing | None) -> list[Path]:
    """Write the reports below `folder` and return the paths, those of the Markdown reports first.

    Without `drawing` they have no figures.
    """
    paths = []
    for name, data in _files(found, frozenset(formats), drawing):
        write_atomically(folder / name, data)
        paths.append(folder / name)
    return paths


def publish_summary(folder: Path, summary: Summary, head: Report) -> list[Path]:
    """Write a summary again, with what was found after the reports: into its own file, the page, and the results."""
    path = folder / f"{head.name}.md"
    links = {name: f"{one.report}.md" for one in summary.dimensions for name in (one.report.replace("_", "-"),)}
    write_atomically(path, markdown.render(head, charts=False, links=links).encode())
    page = folder / PAGE
    if page.exists():
        from reelbench.reporting.render import html  # noqa: PLC0415 - only this format needs Jinja

        write_atomically(page, html.with_report(page.read_text(encoding="utf-8"), head).encode())
    data = folder / RESULTS
    if data.exists():
        found = msgspec.json.decode(data.read_bytes(), type=Results)
        write_atomically(data, to_json(msgspec.structs.replace(found, summary=summary)))
    return [path]


def _files(found: RunResult, formats: frozenset[Format], drawing: Drawing | None) -> Iterator[tuple[str, bytes]]:
    reports = (found.head, *found.reports, found.appendix)
    charts = drawing is not None
    forms: tuple[Form, ...] = ("svg", "pdf") if Format.LATEX in formats else ("svg",)
    drawn = drawing.draw(figures_of(reports), forms) if drawing is not None else dict
    data = results(found) if formats & {Format.CSV, Format.JSON, Format.JUNIT, Format.LATEX} else None
    if Format.MARKDOWN in formats:
        links = markdown.links(reports)
        for report in reports:
            yield f"{report.name}.md", markdown.render(report, charts=charts, links=links).encode()
    if data is not None:
        yield from _data_files(data, reports, formats, charts=charts)
    page = page_data(found.evidence) if Format.HTML in formats else None
    figures = drawn()
    svgs = {name: file for (name, form), file in figures.items() if form == "svg"}
    if Format.MARKDOWN in formats:
        yield from ((f"{FIGURES}/{name}.svg", svg) for name, svg in svgs.items())
    if Format.LATEX in formats:
        yield from ((f"latex/{FIGURES}/{name}.{form}", file) for (name, form), file in figures.items())
    if page is not None:
        from reelbench.reporting.render import html  # noqa: PLC0415 - only this format needs Jinja, which takes a tenth of a second

        title = f"Reelbench: run {found.evidence.run.run_id}"
        statuses = {one.report.name: one.analysis.status for one in found.dimensions}
        yield PAGE, html.render(title, reports, statuses, svgs, page).encode()


def _data_files(
    data: Results, reports: Sequence[Report], formats: frozenset[Format], *, charts: bool
) -> Iterator[tuple[str, bytes]]:
    if Format.JSON in formats:
        yield RESULTS, to_json(data)
    if Format.JUNIT in formats:
        from reelbench.reporting.render import junit  # noqa: PLC0415 - each format loads what it needs

        yield "junit.xml", junit.render(data)
    if Format.CSV in formats:
        from reelbench.reporting.render import csv  # noqa: PLC0415 - loads the Markdown parser

        yield "csv/results.csv", csv.results_csv(data).encode()
        yield from ((f"csv/{name}.csv", text.encode()) for name, text in csv.tables_csv(reports).items())
    if Format.LATEX in formats:
        from reelbench.reporting.render import latex, setup  # noqa: PLC0415 - loads the Markdown parser

        title = f"Measurements of run {data.run_id}"
        files = latex.render(reports, charts=charts, title=title, main=latex.MAIN, setup=latex.SETUP)
        files[latex.SETUP] = setup.paragraph(data)
        yield from ((f"latex/{name}", text.encode()) for name, text in files.items())
