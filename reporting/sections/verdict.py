"""The verdict of a report, and every objective behind it."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.analysis.capacity_limits import METHOD as TESTED_RATES
from reelbench.reporting.analysis.certainty import Certainty, unprovable
from reelbench.reporting.analysis.verdicts import PAPER, QUICK, Analysis, Status, Verdict, offered
from reelbench.reporting.document import grafana_links, text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, began, place_name
from reelbench.reporting.evidence.measurements import RECORDS

MOST_PROBLEMS = 10
"""Reasons not to trust the numbers that a report lists."""
MEANINGS = {
    Status.PASS: "every objective that could be judged holds, the counts reconcile and the load generator kept up",
    Status.FAIL: "at least one objective is violated, and the sample proves it",
    Status.INCONCLUSIVE: "the samples do not decide every objective, or the counts do not reconcile",
    Status.NO_DATA: "an objective has no data, or no objective was judged",
    Status.INVALID: "the load generator was the bottleneck or stood still, so the numbers do not describe the service",
}


def verdict(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """Return the overall verdict and everything that stands against it."""
    tally = ", ".join(
        f"{number} {status}" for status in Status if (number := sum(1 for v in analysis.verdicts if v.status is status))
    )
    blocks: list[Block] = [
        Paragraph(
            f"**Verdict: {analysis.status}** - {MEANINGS[analysis.status]}. Objectives: {tally or 'none'}. "
            f"By their 95 % intervals: {certainties(analysis.verdicts)}."
        )
    ]
    off = switched_off(evidence)
    remarks = [f"Baseline: the service ran without {text.listed(off)}."] if off else []
    remarks += [f"{problem}." for problem in analysis.problems[:MOST_PROBLEMS]]
    if (rest := len(analysis.problems) - MOST_PROBLEMS) > 0:
        remarks.append(f"{text.counted(rest, 'reason')} more: `results.json`, and the [machine](#appendix-machine).")
    if few := sum(1 for v in analysis.verdicts if v.too_few):
        cure = "give a longer `--budget` and" if evidence.run.budget is not None else "run"
        quick = (
            f" (allowed in quick; {cure} `--profile standard` to decide them)" if evidence.run.profile == QUICK else ""
        )
        remarks.append(f"{few} of {len(analysis.verdicts)} objectives hold with too few samples{quick}.")
    remarks += _unprovable(analysis)
    remarks += _unjudged(evidence, dimension)
    remarks += _unoffered(evidence, dimension)
    remarks += _budget(evidence, analysis)
    if evidence.run.state is not RunState.COMPLETED:
        remarks.append("The report holds what was measured until then.")
    remarks += [f"{note}." for note in (*evidence.notes, *filter(None, [evidence.kept]))]
    if evidence.stack is not None and not evidence.stack.settled:
        remarks.append("Telemetry had not settled when it was read: late samples may be missing.")
    if missing := [s.name for s in evidence.run.scenarios if s.dimension == dimension and not began(s)]:
        remarks.append(f"Not run: {', '.join(missing)}.")
    if remarks:
        blocks.append(Bullets(tuple(remarks)))
    return Section("Verdict", tuple(blocks))


def certainties(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts their intervals prove, in words; those without a value are left out."""
    counted = ((one, sum(1 for v in verdicts if v.certainty is one)) for one in Certainty)
    return "; ".join(f"{one}: {number}" for one, number in counted if number) or "nothing is known"


def _unprovable(analysis: Analysis) -> list[str]:
    """Return the objectives that hold and that no sample can prove, with the reason of each."""
    found: dict[str, list[str]] = {}
    for v in analysis.verdicts:
        if v.certainty is Certainty.HOLDS and (why := unprovable(v.sli, v.estimate, v.objective)):
            found.setdefault(why, []).append(f"{v.sli.title} in {place_name(v.scenario, v.case, v.member)}")
    return [f"Hold without a proof, as {why}: {'; '.join(names)}." for why, names in found.items()]


def _unjudged(evidence: Evidence, dimension: str) -> list[str]:
    """Return the default objectives that are made for the service of this project and judge no other server."""
    if dimension != Dimension.PERFORMANCE:
        return []
    measured = {m.sli for m in evidence.measurements.measurements if m.value is not None}
    names = [
        f"{sli.title} (`{sli.id}`)"
        for sli in evidence.catalogue.slis
        if sli.of(dimension) and sli.id in measured and sli.objective and not evidence.judged_by(sli.objective)
    ]
    if not names:
        return []
    example = "`--objective response_time_p95=120s`"
    return [f"Measured without an objective: {text.listed(names)}. Set one, such as {example}, or in the target file."]


def _unoffered(evidence: Evidence, dimension: str) -> list[str]:
    """Return the objectives that cannot be judged, as the server does not have what they are read from."""
    found: dict[str, list[str]] = {}
    for m in evidence.measurements.measurements:
        sli, scenario = evidence.catalogue.get(m.sli), evidence.scenario(m.scenario)
        objective = sli.objective
        if scenario is None or objective is None or scenario.dimension != dimension or not sli.of(dimension):
            continue
        placed = not objective.scenarios or scenario.name in objective.scenarios
        if placed and evidence.judged_by(objective) and not offered(evidence, sli, scenario):
            found.setdefault(f"{sli.title}: {m.no_data}", []).append(m.scenario)
    return [f"Not judged: {what} (in {text.listed(names)})." for what, names in found.items()]


def _budget(evidence: Evidence, analysis: Analysis) -> list[str]:
    """Return how the time budget of a run limits its verdicts."""
    budget = evidence.run.budget
    if budget is None:
        return []
    few = dict.fromkeys(f"{v.sli.title} in {place_name(v.scenario, v.case)}" for v in analysis.verdicts if v.too_few)
    planned = (
        f"Planned for a time budget of {text.length(budget.seconds)}: the calibration job took "
        f"{text.length(budget.job_seconds)}, {text.counted(budget.jobs, 'job')} "
        f"{'was' if budget.jobs == 1 else 'were'} planned, "
        f"{text.counted(len(budget.left_out), 'part')} of the plan left out (appendix, Environment)."
    )
    return [planned, f"The budget leaves open: {'; '.join(few)}."] if few else [planned]


def switched_off(evidence: Evidence) -> list[str]:
    """Return the parts of the service that were off in the whole run."""
    return [name for name, on in sorted((evidence.run.switches or {}).items()) if not on]


def objectives(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """Return every objective with its verdict, linked to its panel where the stack has a Grafana."""
    if not analysis.verdicts:
        return Section("Objectives", (Paragraph("No objective applies to the scenarios that ran."),))
    grafana = grafana_of(evidence)
    rows = tuple(
        (
            link(v.sli.title, grafana_links.panel(grafana, v.sli, evidence.run, v.scenario, v.case)),
            linked(evidence, v.scenario, v.case, v.member),
            *verdict_cells(v)[2:-1],
            limits(v),
            text.count(v.n),
            f"**{v.status}**{f' ({literal(v.reason)})' if v.reason else ''}",
            v.certainty or text.NONE,
        )
        for v in analysis.verdicts
    )
    columns = ("Indicator", "Where", "Objective", "Value", "95 % CI", "n", "Verdict", "By the interval")
    slis = tuple(dict.fromkeys(v.sli for v in analysis.verdicts))
    exact = dict.fromkeys(v.sli.title for v in analysis.verdicts if v.estimate.source == RECORDS)
    also = f"; exact, from the records: {', '.join(exact)}" if exact else ""
    caption = (
        f"Values from PromQL{also}. Proven: the 95 % interval lies on one side of the objective. A violation that is "
        "proven is FAIL at any n, one that is not is INCONCLUSIVE; a value that holds needs a large enough n"
        f"{', and in this profile a proof where a sample can give one' if evidence.run.profile == PAPER else ''}. "
        f"[The queries](#appendix-{dimension}-queries)."
    )
    given = "Objective of this run, from the command line or the target file."
    whys = Bullets(tuple(f"{sli.title}: {given if sli.id in evidence.run.objectives else sli.why}" for sli in slis))
    return Section("Objectives", (Table(columns, rows, ("Value", "n"), caption), whys))


def verdict_cells(v: Verdict) -> tuple[str, str, str, str, str]:
    """Return indicator, place, objective, value and n of a verdict as text."""
    value = f"{'≥ ' if v.estimate.at_least else ''}{text.with_unit(v.value, v.sli.unit)}"
    return v.sli.title, place_name(v.scenario, v.case, v.member), _bound(v), value, text.count(v.n)


def linked(evidence: Evidence, scenario: str, case: str, member: str) -> str:
    """Return the name of a place, linked to its time in Grafana where the stack has one."""
    address = grafana_links.place(grafana_of(evidence), evidence.run, scenario, case)
    return link(place_name(scenario, case, member), address)


def link(name: str, address: str | None) -> str:
    """Return a link, or the name where there is no address."""
    return f"[{name}]({address})" if address else name


def grafana_of(evidence: Evidence) -> str | None:
    """Return the address of the stack's Grafana."""
    return evidence.stack.grafana_url if evidence.stack else None


def _bound(v: Verdict) -> str:
    sign = "≤" if v.objective.direction == "at_most" else "≥"
    return f"{sign} {text.with_unit(v.objective.value, v.sli.unit)}"


def limits(v: Verdict) -> str:
    """Return the 95 % interval of a verdict's value as text, or why it has none."""
    number = v.estimate
    if number.exact or not number.method:
        return number.exact or text.NONE
    lower, upper = (text.with_unit(limit, v.sli.unit) for limit in (number.interval.lower, number.interval.upper))
    # The interval of a knee goes from one tested rate to another: it does not hold the capacity in 95 % of runs.
    kind = " (tested rates, not a CI)" if number.method == TESTED_RATES else ""
    if number.interval.upper is None:
        return text.NONE if number.interval.lower is None else f"from {lower}{kind}"
    return f"up to {upper}{kind}" if number.interval.lower is None else f"{lower} to {upper}{kind}"
