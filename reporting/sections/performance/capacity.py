"""Capacity: one statement from the ramp, the closed levels and the scalability law, which each see a part of it."""

from __future__ import annotations

import msgspec

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.capacity import Knee, knee
from reelbench.reporting.analysis.capacity_limits import rate_limits
from reelbench.reporting.analysis.load_levels import Level, levels
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance.load import fastest, load
from reelbench.reporting.sections.performance.scalability import peak_of

CONTRADICTION = 1.1
"""Times the highest closed throughput from which a rate that seems to hold cannot: its case is too short."""


class Capacity(msgspec.Struct, frozen=True):
    """Jobs per second that one instance can be planned with."""

    rate: float
    closed: Level | None
    """The closed case with the highest throughput."""
    ramp: Knee | None
    contradicts: bool
    """True when a rate of the ramp seems to hold that the closed load never completed."""


def capacity(evidence: Evidence) -> Capacity | None:
    """Return the capacity; None when neither a ramp nor a closed case completed jobs."""
    closed, scenario = fastest(evidence), subjects.ramp(evidence)
    ramp = knee(evidence, scenario.name) if scenario else None
    most = closed.throughput if closed else None
    if ramp is None:
        return Capacity(most, closed, None, contradicts=False) if most else None
    held = ramp.held.case.load.rate if ramp.held else 0.0
    contradicts = bool(most) and held > CONTRADICTION * (most or 0.0)
    return Capacity(most or 0.0 if contradicts else held, closed, ramp, contradicts=contradicts)


def sentence(found: Capacity) -> str:
    """Return the statement: the rate to plan with, and how the other figures agree with it."""
    closed, ramp = found.closed, found.ramp
    top = (
        f"{text.job_rate(closed.throughput)} at {closed.concurrency} in flight"
        if closed and closed.throughput is not None
        else ""
    )
    if ramp is None:
        return (
            f"Capacity: at most **{text.job_rate(found.rate)}** (closed loop, {closed.concurrency if closed else 0} in "
            "flight). The rate that independent users may send is not known without a ramp."
        )
    limits = "success and P95 within their limits, no growing backlog"
    if found.contradicts and ramp.held:
        return (
            f"Capacity: at most **{text.job_rate(found.rate)}**. The ramp seems to hold {ramp.held.case.load.rate:g} "
            f"jobs/s, more than the closed loop ever completed ({top}): its cases are too short to show a backlog."
        )
    if ramp.held is None and ramp.broke is None:
        return "Capacity: **unknown**: the load generator was late at every rate of the ramp."
    if ramp.held is None:
        lowest = f"the lowest rate tested, {ramp.steps[0].case.load.rate:g} jobs/s, does not hold"
        return f"Capacity: **below {ramp.steps[0].case.load.rate:g} jobs/s** for independent users: {lowest}."
    broke = f"; {ramp.broke.case.load.rate:g} jobs/s does not hold" if ramp.broke else "; no tested rate fails"
    if ramp.open:
        rates = text.listed([f"{step.case.load.rate:g}" for step in ramp.open])
        broke += f"; inconclusive between them, as the load generator was late: {rates} jobs/s"
    beyond = ""
    if closed and closed.throughput is not None:
        beyond = f" The closed loop completes up to {top}, where jobs wait for each other."
        if closed.throughput <= found.rate:
            beyond = f" The closed loop completed no more either: {top}."
    case = ramp.held.case
    proven = rate_limits(ramp).lower == found.rate
    sure = "" if proven else ", not proven by so few jobs"
    figures = f"P95 {text.censored(case.response(0.95))} s, n = {len(case.jobs)}{sure}"
    return f"Capacity: **{found.rate:g} jobs/s** for independent users ({figures}; {limits}{broke}).{beyond}"


def section(evidence: Evidence) -> Section | None:
    """Return the statement and the figures that it reconciles; None without any."""
    found = capacity(evidence)
    if found is None:
        return None
    rows: list[tuple[str, str, str, str]] = []
    if found.ramp is not None:
        limits = rate_limits(found.ramp)
        held = found.ramp.held.case.load.rate if found.ramp.held else 0.0
        upper = "no upper limit" if limits.upper is None else f"{limits.upper:g}"
        bounds = found.ramp.limits
        p95 = "" if bounds.response_p95 is None else f", P95 ≤ {bounds.response_p95:g} s"
        what = f"Highest tested rate at which success ≥ {bounds.success * 100:g} %{p95} and no backlog grows"
        rows.append(("Sustained arrival rate", f"{held:g} jobs/s", f"{limits.lower:g} to {upper}", what))
    if found.closed is not None:
        place = place_name(found.closed.scenario, found.closed.case)
        what = (
            f"Most completed jobs of a closed loop, however long they wait ({place}); as the largest of "
            f"{text.counted(len(levels(evidence)), 'case')}, chance makes it rather too large"
        )
        limits = found.closed.throughput_interval
        upper = "no upper limit" if limits.upper is None else f"{limits.upper:.2f}"
        span = text.NONE if limits.lower is None else f"{limits.lower:.2f} to {upper}"
        rows.append(("Maximum throughput", text.job_rate(found.closed.throughput), span, what))
    if (law := peak_of(load(evidence))) is not None:
        fit, around = law
        assert fit.peak is not None
        span = f"{around.least:.0f} to {around.most or 0:.0f} in flight"
        what = "Jobs in flight beyond which throughput falls, by the Universal Scalability Law"
        rows.append(("Peak of the scalability law", f"{fit.peak:.0f} in flight", span, what))
    blocks: list[Block] = [Bullets((sentence(found),))]
    caption = (
        "Range: of the sustained rate, from the highest rate proven to hold to the lowest proven not to; of the "
        "maximum, its 95 % CI; of a peak, the fits without one level."
    )
    blocks.append(Table(("Figure", "Value", "Range", "What it is"), tuple(rows), ("Value",), caption))
    return Section("Capacity", tuple(blocks))
