"""The summary of a run as a document: at most 40 lines and 6 KB of Markdown for any run."""

from __future__ import annotations

from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.results import summary_words as words
from reelbench.reporting.results.summary import Summary

NAME = "summary"
FINDINGS = 3
"""Rows of what does not hold; `results.json` has all."""
PROBLEMS = 2
"""Problems and notes that are shown; problems come first."""
_CELL, _CAUSE, _LINE = 50, 150, 190
"""Most characters of a cell, of a cause and of a sentence."""


def summary_report(summary: Summary) -> Report:
    """Return the summary as the first report of a run."""
    sections = (
        Section("Verdict", (Paragraph(_lead(summary)), _dimensions(summary))),
        Section("Why", tuple(_why(summary))),
        Section("What to do", (Bullets(tuple(_action(action) for action in summary.actions)),)),
        *((Section("Figures", (_figures(summary),)),) if summary.figures else ()),
    )
    return Report(NAME, f"Summary of run {summary.run_id}", sections)


def _lead(summary: Summary) -> str:
    sentence = _line(summary.sentence)
    measured = literal(words.clipped(words.circumstances(summary), 120))
    change = ""
    if (found := summary.change) is not None:
        baseline = literal(words.clipped(found.baseline, _CELL))
        change = f" **Against {baseline}:** {_line(found.sentence)}"
    return f"**Verdict: {summary.verdict}** - {sentence} Measured: {measured}.{change}"


def _dimensions(summary: Summary) -> Table:
    rows = tuple(
        (
            f"[{one.name}](#{one.report.replace('_', '-')})",
            f"**{one.verdict}**",
            text.count(one.objectives),
            *(words.counted(one, certainty) for certainty in Certainty),
        )
        for one in summary.dimensions
    )
    columns = ("Report", "Verdict", "Objectives", *(str(certainty).capitalize() for certainty in Certainty))
    return Table(columns, rows, columns[2:], name="summary")


def _why(summary: Summary) -> list[Block]:
    blocks: list[Block] = []
    remarks: list[str] = []
    if summary.findings:
        shown = summary.findings[:FINDINGS]
        rows = tuple(
            (
                f"**{one.verdict}**",
                literal(words.clipped(one.title, _CELL)),
                literal(words.clipped(words.place(one), _CELL)),
                words.value(one),
                words.objective(one),
                one.excess or text.NONE,
                literal(words.clipped(one.why, _CAUSE)),
            )
            for one in shown
        )
        columns = ("Verdict", "Indicator", "Where", "Value", "Objective", "Off by", "Likely cause")
        blocks.append(Table(columns, rows, ("Value",), name="summary_not_held"))
        if rest := len(summary.findings) - len(shown):
            remarks.append(f"{text.counted(rest, 'objective')} more in the reports under *Why*.")
    remarks += [f"{_line(problem)}." for problem in summary.problems[:PROBLEMS]]
    if (rest := len(summary.problems) - PROBLEMS) > 0:
        remarks[-1] += f" {rest} more in the reports under *Verdict*."
    remarks += [f"{_line(note)}." for note in summary.notes[: max(0, PROBLEMS - len(summary.problems))]]
    if remarks:
        blocks.append(Bullets(tuple(remarks)))
    return blocks or [Paragraph("No objective is violated, none lacks data, and nothing speaks against the numbers.")]


def _figures(summary: Summary) -> Table:
    rows = tuple(
        (
            literal(words.clipped(one.name, _CELL)),
            f"**{words.figure(one)}**",
            words.limits(one),
            text.count(one.n),
            literal(words.clipped(one.where, _CELL)) or text.NONE,
        )
        for one in summary.figures
    )
    return Table(("Figure", "Value", "95 % CI", "n", "Where"), rows, ("Value", "n"), name="summary_figures")


def _line(sentence: str) -> str:
    return literal(words.clipped(sentence, _LINE))


def _action(sentence: str) -> str:
    """Return a sentence that may have code; all else is text."""
    parts = words.clipped(sentence, _LINE).split("`")
    if len(parts) % 2 == 0:
        return literal("`".join(parts))
    return "`".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))


def _escaped(part: str) -> str:
    """Escape a part of a line, and keep the spaces at its ends."""
    return literal(f".{part}.")[1:-1]
