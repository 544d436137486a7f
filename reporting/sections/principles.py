"""Eight principles for reproducible performance evaluation, judged by the evidence of a run.

A. V. Papadopoulos, L. Versluis, A. Bauer, N. Herbst, J. von Kistowski, A. Ali-Eldin, C. L. Abad, J. N. Amaral, P. Tuma,
A. Iosup: "Methodological Principles for Reproducible Performance Evaluation in Cloud Computing", IEEE Transactions on
Software Engineering 47(8), 2021, doi 10.1109/TSE.2019.2927908.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.analysis.cost import reference
from reelbench.reporting.analysis.server_figures import gpu_hours
from reelbench.reporting.analysis.verdicts import Analysis, Status
from reelbench.reporting.document import running, text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, began, place_name
from reelbench.reporting.sections.resources.server_energy import price_of
from reelbench.reporting.sections.resources.server_key import fastest
from reelbench.reporting.statistics.intervals import Summary, summarize

ENOUGH_RUNS = 5
"""Runs from which an interval between runs is meaningful."""
ENOUGH_LOADS = 3
"""Levels of load from which a curve differs from a line."""
ENOUGH_CONFIGURATIONS = 2


class Met(StrEnum):
    """Degree to which a principle is met."""

    YES = "met"
    PARTLY = "partly"
    NO = "not met"


class Finding(msgspec.Struct, frozen=True):
    """One principle, and the fact that decides it."""

    principle: str
    met: Met
    fact: str


def section(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """Return the checklist of one run."""
    findings = judge(evidence, analysis, dimension, repetitions=1)
    lead = (
        "The eight principles of Papadopoulos et al. (IEEE TSE 47(8), 2021, doi 10.1109/TSE.2019.2927908), judged "
        "by the evidence of this run: "
        f"{', '.join(f'{sum(1 for f in findings if f.met is met)} {met}' for met in Met)}."
    )
    rows = tuple((f.principle, f"**{f.met}**", f.fact) for f in findings)
    return Section("Methodological principles", (Paragraph(lead), Table(("Principle", "Met", "Fact"), rows)))


def judge(evidence: Evidence, analysis: Analysis, dimension: str, *, repetitions: int) -> tuple[Finding, ...]:
    """Judge all eight, in their order; `repetitions` counts the runs of the same plan behind the numbers."""
    times = [
        found
        for scenario, case in evidence.cases(dimension)
        if (found := summarize(evidence.response_times(scenario.name, case.name)))
    ]
    return (
        _repeated(repetitions),
        _coverage(evidence, dimension),
        _setup(evidence),
        _artifact(evidence),
        _probabilistic(times),
        _statistics(analysis, repetitions),
        _units(evidence, dimension),
        _cost(evidence),
    )


def _grade(good: int, of: int) -> Met:
    """Return how much of what a principle asks for is there."""
    return Met.YES if of and good == of else Met.PARTLY if good else Met.NO


def _repeated(repetitions: int) -> Finding:
    met = Met.YES if repetitions >= ENOUGH_RUNS else Met.PARTLY if repetitions > 1 else Met.NO
    more = "" if met is Met.YES else f"; {ENOUGH_RUNS} or more show the variation between runs (`--repeat`)"
    return Finding("P1 Repeated experiments", met, f"{text.counted(repetitions, 'run')}{more}")


def _coverage(evidence: Evidence, dimension: str) -> Finding:
    cases = evidence.cases(dimension)
    loads = {(case.model, case.concurrency, case.pace) for _, case in cases if case.model != "idle"}
    faults = {(f.scenario, f.case): f"{f.target} {f.kind}" for f in evidence.run.faults}
    configurations = {
        (tuple(sorted(case.switches.items())), case.prompts, faults.get((scenario.name, case.name), ""))
        for scenario, case in cases
    }
    missing = [s.name for s in evidence.run.scenarios if s.dimension == dimension and not began(s)]
    held = (len(loads) >= ENOUGH_LOADS, len(configurations) >= ENOUGH_CONFIGURATIONS, bool(cases) and not missing)
    met = Met.YES if all(held) else Met.PARTLY if held[0] or held[1] else Met.NO
    fact = (
        f"{text.counted(len(loads), 'different load')} in {text.counted(len(cases), 'case')}; "
        f"{text.counted(len(configurations), 'configuration')} (toggles, prompts, faults)"
    )
    fact += f"; not run: {', '.join(missing)}" if missing else ""
    return Finding("P2 Workload and configuration coverage", met, fact)


def _setup(evidence: Evidence) -> Finding:
    machine, stack = evidence.run.environment, evidence.stack
    known = {
        "CPU": machine.cpu_model not in {"", "unknown"},
        "memory": machine.memory_bytes > 0,
        "operating system": bool(machine.os),
        "Python": bool(machine.python),
        "libraries": bool(machine.packages),
        **_inputs(evidence.run),
        "plan": bool(evidence.run.plan_hash),
        "stack": stack is not None and bool(stack.components),
        "Prometheus": stack is not None and stack.prometheus is not None and stack.prometheus.version is not None,
    }
    missing = [name for name, there in known.items() if not there]
    fact = f"recorded: {', '.join(name for name, there in known.items() if there) or 'nothing'}"
    fact += f"; not known: {', '.join(missing)}" if missing else ""
    return Finding("P3 Experimental setup description", _grade(len(known) - len(missing), len(known)), fact)


def _inputs(run: RunRecord) -> dict[str, bool]:
    """Return whether the files that jobs are made of are known: the document, or without one the prompts."""
    if run.document is not None:
        return {"document": bool(run.document.sha256)}
    return {"prompts": run.workload is not None}


def _artifact(evidence: Evidence) -> Finding:
    machine = evidence.run.environment
    if not machine.commit:
        why = text.literal(running.no_commit(machine))
        return Finding("P4 Open access artifact", Met.NO, f"{why}: the commit of the code is unknown")
    clean = not machine.dirty
    locked = machine.lock_sha256 is not None
    fact = (
        f"commit `{machine.commit[:12]}`, {'clean tree' if clean else 'with uncommitted changes'}, "
        f"{'libraries by lock file' if locked else 'no lock file'}"
    )
    met = Met.YES if clean and locked else Met.PARTLY
    more = "; publish commit and run directory" if met is Met.YES else ""
    return Finding("P4 Open access artifact", met, f"{fact}{more}")


def _probabilistic(times: list[Summary]) -> Finding:
    p95 = sum(1 for found in times if found.p95.interval.upper is not None)
    p99 = sum(1 for found in times if found.p99.interval.upper is not None)
    fact = (
        f"distributions and percentiles with intervals; of {len(times)} cases with completed jobs, {p95} have enough "
        f"for an upper limit of P95 (n ≥ 72) and {p99} of P99 (n ≥ 368)"
        if times
        else "no case has completed jobs"
    )
    return Finding("P5 Probabilistic result description", _grade(p95, len(times)), fact)


def _statistics(analysis: Analysis, repetitions: int) -> Finding:
    judged = [v for v in analysis.verdicts if v.status is not Status.NO_DATA]
    enough = sum(1 for v in judged if not v.too_few)
    met = _grade(enough, len(judged))
    fact = f"{enough} of {len(judged)} judged objectives have enough samples"
    if met is Met.YES and repetitions < ENOUGH_RUNS:
        met = Met.PARTLY
    if repetitions < ENOUGH_RUNS:
        fact += "; intervals hold within this run, not between runs"
    return Finding("P6 Statistical evaluation", met, fact)


def _units(evidence: Evidence, dimension: str) -> Finding:
    shown = {m.sli for m in evidence.measurements.measurements}
    asked = [sli for sli in evidence.catalogue.slis if sli.id in shown and sli.of(dimension)]
    good = sum(1 for sli in asked if sli.unit not in {"", "1"})
    return Finding(
        "P7 Measurement units", _grade(good, len(asked)), f"{good} of {len(asked)} indicators measured have a unit"
    )


def _on_the_server(evidence: Evidence) -> str | None:
    """Return what a video costs by the price of the GPUs of another maker's server, in its fastest case."""
    price = price_of(evidence) if evidence.foreign else None
    found = fastest(evidence) if price is not None else None
    if price is None or found is None or (hours := gpu_hours(evidence, found[1])) is None:
        return None
    scenario, case, videos = found
    money = evidence.prices.currency
    return (
        f"{text.money(hours * price / videos)} {money} for a video at {text.money(price)} {money} for a GPU hour "
        f"(`{place_name(scenario.name, case.name)}`)"
    )


def _cost(evidence: Evidence) -> Finding:
    title = "P8 Cost"
    if (found := reference(evidence)) is not None:
        name, _, bill = found
        each = f"{text.money(bill.each * 1000)} {evidence.prices.currency} for 1,000 jobs"
        return Finding(title, Met.YES, f"{each} at list prices (`{name}`, resources report)")
    if (spent := _on_the_server(evidence)) is not None:
        return Finding(title, Met.YES, spent)
    run = evidence.run
    if run.ended is None:
        return Finding(title, Met.NO, "neither the cost of a job nor the length of the run is known")
    length = f"{run.ended - run.started:,.0f} s on {run.environment.cpu_count} cores"
    needs = "the price of a GPU (`--gpu-hour-price`)" if evidence.foreign else "a resources scenario"
    return Finding(title, Met.PARTLY, f"the run took {length}; the cost of a job needs {needs}")
