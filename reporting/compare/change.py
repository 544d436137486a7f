"""The change against a baseline in one sentence, for the summary of a run."""

from __future__ import annotations

from reelbench.reporting.compare.records import ComparisonRecord, Verdict
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.summary import Change

_NAMED = 2
"""Causes that the sentence names."""


def change_of(record: ComparisonRecord) -> Change:
    """Return how many indicators changed, and the largest changes; the verdicts are those of the comparison."""
    counts = {verdict: record.count(verdict) for verdict in Verdict}
    changed = (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS)
    causes = [cause for verdict in changed for cause in record.causes(verdict)]
    named = "; ".join(
        f"{cause.lead.title} in {place_name(cause.lead.scenario, cause.lead.case, cause.lead.member)} "
        f"{text.with_unit(cause.lead.baseline, cause.lead.unit)} to {text.with_unit(cause.lead.run, cause.lead.unit)}"
        for cause in causes[:_NAMED]
    )
    total = text.counted(len(record.findings), "indicator")
    found = ", ".join(f"{counts[verdict]} {verdict}" for verdict in changed if counts[verdict])
    sentence = f"{found} of {total}: {named}." if found else f"no change is shown in {total}."
    once = "" if record.over_runs else " One run a side cannot say what is better or worse."
    return Change(
        baseline=record.baseline.name,
        sentence=f"{sentence}{once}",
        better=counts[Verdict.BETTER],
        worse=counts[Verdict.WORSE],
        differs=counts[Verdict.DIFFERS],
    )
