"""The parts of a summary in words, for the document and the terminal alike."""

from __future__ import annotations

from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.summary import DimensionSummary, Figure, Finding, Summary

_AT_MOST, _AT_LEAST = "≤", "≥"


def clipped(words: str, most: int) -> str:
    """Return a text on one line of at most `most` characters; a longer one ends with an ellipsis."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def place(finding: Finding) -> str:
    """Return where an objective does not hold."""
    return place_name(finding.scenario, finding.case, finding.member)


def value(finding: Finding) -> str:
    """Return the value of an objective that does not hold, and its sample size."""
    if finding.value is None:
        return "no data"
    count = f" (n = {finding.n:,})" if finding.n is not None else ""
    return f"{text.with_unit(finding.value, finding.unit)}{count}"


def objective(finding: Finding) -> str:
    """Return the objective with its sign."""
    sign = _AT_MOST if finding.direction == "at_most" else _AT_LEAST
    return f"{sign} {text.with_unit(finding.objective, finding.unit)}"


def verdict(finding: Finding) -> str:
    """Return the verdict, and for one that is not FAIL, what is known."""
    sure = f", {finding.certainty}" if finding.certainty is not None and finding.verdict != "FAIL" else ""
    return f"{finding.verdict}{sure}"


def counted(dimension: DimensionSummary, certainty: Certainty) -> str:
    """Return how many objectives the intervals prove so; a dash for none."""
    return text.count(dimension.by_certainty.get(certainty.value) or None)


def figure(one: Figure) -> str:
    """Return the value of a figure."""
    return text.with_unit(one.value, one.unit)


def limits(one: Figure) -> str:
    """Return the 95 % interval of a figure; a dash where it has none."""
    lower, upper = (text.with_unit(limit, one.unit) for limit in (one.lower, one.upper))
    if one.upper is None:
        return text.NONE if one.lower is None else f"from {lower}"
    return f"up to {upper}" if one.lower is None else f"{lower} to {upper}"


def circumstances(summary: Summary) -> str:
    """Return target, profile, jobs and length of a run."""
    length = f" in {text.length(summary.seconds)}" if summary.seconds is not None else ""
    return f"{summary.target}, profile {summary.profile}, {text.counted(summary.jobs, 'measured job')}{length}"
