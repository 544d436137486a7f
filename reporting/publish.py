"""Writes what was found of a run in the formats that are asked for; the same run gives the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.reporting.render import csv, junit, latex, markdown
from reelbench.reporting.render.names import figures_of
from reelbench.reporting.results.outcome import Found, results
from reelbench.reporting.results.results import to_json


class FormatError(ValueError):
    """A format that nobody writes; the message is one sentence."""


class Format(StrEnum):
    """A way to publish the reports."""

    MARKDOWN = "md"
    HTML = "html"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"
    JUNIT = "junit"


DEFAULT = (Format.MARKDOWN, Format.HTML, Format.CSV, Format.JSON, Format.JUNIT)
"""What the commands write unless told otherwise: all but LaTeX, whose figures are drawn once more."""


PAGE = "report.html"
"""All reports of a run on one page."""


def formats_of(names: str) -> tuple[Format, ...]:
    """Read names with commas between them.

    Raises:
        FormatError: one of them is no format, or there is none.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [form.value for form in Format]
    if unknown := [name for name in wanted if name not in known]:
        raise FormatError(f"unknown format {', '.join(map(repr, unknown))}; choose from {', '.join(known)}")
    if not wanted:
        raise FormatError(f"no format is named; choose from {', '.join(known)}")
    return tuple(form for form in Format if form.value in wanted)


def publish(folder: Path, found: Found, formats: Collection[Format], *, charts: bool) -> list[Path]:
    """Write the reports below `folder`; gives the paths, those of the Markdown reports first."""
    paths = []
    for name, data in _files(found, frozenset(formats), charts=charts):
        write_atomically(folder / name, data)
        paths.append(folder / name)
    return paths


def _files(found: Found, formats: frozenset[Format], *, charts: bool) -> Iterator[tuple[str, bytes]]:
    reports = found.reports
    drawn = formats & {Format.MARKDOWN, Format.HTML, Format.LATEX} if charts else frozenset()
    svgs = _svgs(found) if drawn else {}
    if Format.MARKDOWN in formats:
        for report in reports:
            yield f"{report.name}.md", markdown.render(report, charts=charts).encode()
        yield from ((f"{markdown.FIGURES}/{name}.svg", svg) for name, svg in svgs.items())
    if Format.HTML in formats:
        from reelbench.reporting.render import html  # noqa: PLC0415 - only this format needs Jinja, which takes a tenth of a second

        title = f"Reelbench: run {found.evidence.run.run_id}"
        statuses = {one.report.name: one.analysis.status.value for one in found.judged}
        yield PAGE, html.render(title, reports, statuses, svgs).encode()
    if not formats & {Format.CSV, Format.JSON, Format.JUNIT, Format.LATEX}:
        return
    data = results(found)
    if Format.JSON in formats:
        yield "results.json", to_json(data)
    if Format.JUNIT in formats:
        yield "junit.xml", junit.render(data)
    if Format.CSV in formats:
        yield "csv/results.csv", csv.results_csv(data).encode()
        yield from ((f"csv/{name}.csv", text.encode()) for name, text in csv.tables_csv(reports).items())
    if Format.LATEX in formats:
        yield from (
            (f"latex/{name}", text.encode()) for name, text in latex.render(data, reports, charts=charts).items()
        )
        yield from _latex_figures(found, svgs)


def _svgs(found: Found) -> Mapping[str, bytes]:
    from reelbench.reporting.render import figures  # noqa: PLC0415 - matplotlib takes a second, which only charts may cost

    return {chart.name: figures.svg(chart) for chart in figures_of(found.reports)}


def _latex_figures(found: Found, svgs: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    if not svgs:
        return
    from reelbench.reporting.render import figures  # noqa: PLC0415 - matplotlib takes a second, which only charts may cost

    for chart in figures_of(found.reports):
        yield f"latex/{latex.FIGURES}/{chart.name}.pdf", figures.pdf(chart)
        yield f"latex/{latex.FIGURES}/{chart.name}.svg", svgs[chart.name]
