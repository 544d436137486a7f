"""The sections that every report has: verdict, method, reconciliation, objectives, queries."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord, LimitsRecord, RunState
from reelbench.reporting.analysis.generator_health import MAX_GENERATOR_CPU, MAX_LATENESS, MAX_LATENESS_SHARE, MIN_SENT
from reelbench.reporting.analysis.record_slis import explain
from reelbench.reporting.analysis.verdicts import Analysis, Status, Verdict
from reelbench.reporting.document import grafana_links, text
from reelbench.reporting.document.literal import literal
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, began, case_seconds, place_name
from reelbench.reporting.evidence.measurements import RECORDS, Measurement

MEANINGS = {
    Status.PASS: "every objective that could be judged holds, the counts reconcile and the load generator kept up",
    Status.FAIL: "at least one objective does not hold",
    Status.INCONCLUSIVE: "the numbers do not suffice for a judgement",
    Status.NO_DATA: "an objective has no data, or nothing was judged",
    Status.INVALID: "the load generator was the bottleneck, so the numbers describe it and not the service",
}


def not_run(scenario: str) -> tuple[Block, ...]:
    """What stands in the place of a section whose scenario did not run."""
    return (Paragraph(f"Scenario `{scenario}` is no part of this run, or it did not begin."),)


def verdict(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """The overall verdict and all that stands in its way."""
    tally = ", ".join(
        f"{number} {status}" for status in Status if (number := sum(1 for v in analysis.verdicts if v.status is status))
    )
    blocks: list[Block] = [
        Paragraph(f"**Verdict: {analysis.status}** - {MEANINGS[analysis.status]}. Objectives: {tally or 'none'}.")
    ]
    off = switches_off(evidence)
    remarks = [f"Baseline: the service ran without {text.listed(off)}."] if off else []
    remarks += [f"FAIL: {_sentence(v)}." for v in analysis.verdicts if v.status is Status.FAIL]
    remarks += [f"NO DATA: {_sentence(v)}." for v in analysis.verdicts if v.status is Status.NO_DATA]
    remarks += [f"{problem}." for problem in analysis.problems]
    few = sum(1 for v in analysis.verdicts if v.too_few)
    if few:
        tolerated = ", which the profile quick tolerates" if evidence.run.profile == "quick" else ""
        remarks.append(f"{few} of {len(analysis.verdicts)} objectives rest on too few samples{tolerated}.")
    if evidence.run.state is not RunState.COMPLETED:
        remarks.append(f"The run is {evidence.run.state}: only what was measured until then is reported.")
    if evidence.stack is not None and not evidence.stack.settled:
        remarks.append("Telemetry had not settled when it was read, so late samples may be missing.")
    missing = [s.name for s in evidence.run.scenarios if s.dimension == dimension and not began(s)]
    if missing:
        remarks.append(f"Not run: {', '.join(missing)}.")
    if remarks:
        blocks.append(Bullets(tuple(remarks)))
    return Section("Verdict", tuple(blocks))


def switches_off(evidence: Evidence) -> list[str]:
    """What was switched off in the service."""
    return [name for name, on in sorted((evidence.run.switches or {}).items()) if not on]


def environment(evidence: Evidence) -> Section:
    """Where, with what and on what the run was made."""
    run, stack = evidence.run, evidence.stack
    machine = run.environment
    rows = [
        ("Run", f"`{run.run_id}`, profile {run.profile}, seed {run.seed}, plan sha256 `{run.plan_hash}`"),
        ("Time", f"{text.instant(run.started)} to {text.instant(run.ended)}"),
        ("Target", run.target),
        ("Document", f"{literal(run.document.name)}, {text.size(run.document.bytes)}, sha256 `{run.document.sha256}`"),
        ("Processor", f"{machine.cpu_model}, {machine.cpu_count} cores"),
        ("Memory", text.size(machine.memory_bytes)),
        ("Limits of the container", _limits(machine.limits)),
        ("Operating system", machine.os),
        ("Python", machine.python),
        ("Libraries", ", ".join(f"{name} {machine.packages[name]}" for name in sorted(machine.packages)) or text.NONE),
        (
            "Commit",
            f"`{machine.commit}`{', with uncommitted changes' if machine.dirty else ''}"
            if machine.commit
            else "not a checkout",
        ),
        ("Lock file", f"sha256 `{machine.lock_sha256}`" if machine.lock_sha256 else text.NONE),
    ]
    if run.switches:
        words = ", ".join(f"{name} {'on' if on else '**off**'}" for name, on in sorted(run.switches.items()))
        rows.append(("Switches of the service", words))
    if stack is None:
        rows.append(("Stack", "not recorded"))
    else:
        parts = ", ".join(" ".join(filter(None, (c.name, c.version))) for c in stack.components)
        rows.append(("Stack", f"{stack.kind}{f': {parts}' if parts else ''}"))
        if stack.prometheus:
            interval = stack.prometheus.scrape_interval
            every = f"{interval:g} s" if isinstance(interval, int | float) else interval
            rows.append(
                ("Prometheus", f"{stack.prometheus.version or 'version unknown'}, scraped every {every or '-'}")
            )
        settled = "every target was read past the end" if stack.settled else "NOT settled: late samples may be missing"
        rows.append(("Telemetry", f"{settled} ({text.instant(stack.settled_at)})"))
        if stack.grafana_url and run.ended is not None:
            address = grafana_links.place(stack.grafana_url, run)
            rows.append(("Grafana", f"[the run on the dashboard Live run]({address})"))
    return Section("Environment", (Table(("Item", "Value"), tuple(rows)),))


def _limits(limits: LimitsRecord | None) -> str:
    if limits is None:
        return "none known"
    cores = f"{limits.cpu_cores:g} cores" if limits.cpu_cores is not None else "no limit of CPU"
    memory = text.size(limits.memory_bytes) if limits.memory_bytes is not None else "no limit of memory"
    return f"{cores}, {memory}"


def workload(evidence: Evidence, dimension: str) -> Section:
    """What was asked of the service."""
    rows = tuple(
        (
            scenario.name,
            scenario.why,
            ", ".join(scenario.steps),
            case.name,
            _load(case),
            text.count(case.planned),
            text.count(case.warmup),
            text.instant(case.started) if case.started is not None else "not run",
            text.number(case_seconds(case), 1),
        )
        for scenario in evidence.run.scenarios
        if scenario.dimension == dimension
        for case in scenario.cases
    )
    columns = ("Scenario", "Why", "Steps", "Case", "Load", "Jobs", "Warm-up", "Started", "Length [s]")
    blocks: list[Block] = [Table(columns, rows, numeric=("Jobs", "Warm-up", "Length [s]"))]
    if faults := _faults(evidence, dimension):
        blocks.append(faults)
    return Section("Workload", tuple(blocks))


def _load(case: CaseRecord) -> str:
    parts = [f"{case.model}, {case.concurrency} in flight" if case.model == "closed" else case.model]
    if case.arrivals is not None:
        load = case.arrivals
        parts.append(f"{load.process} {load.rate:g} jobs/s for {load.seconds:g} s")
        if load.burst_rate is not None:
            parts.append(f"{load.burst_rate:g} jobs/s from {load.burst_at:g} s on for {load.burst_seconds:g} s")
    if case.pace:
        parts.append(f"pace {case.pace:g} s")
    parts += [f"{name} {'on' if on else 'off'}" for name, on in sorted(case.switches.items())]
    if case.prompts != "unique":
        parts.append(f"prompts {case.prompts.replace('_', ' ')}")
    return ", ".join(parts)


def _faults(evidence: Evidence, dimension: str) -> Table | None:
    rows = []
    for fault in evidence.faults(*(scenario.name for scenario in evidence.scenarios(dimension))):
        start = evidence.beginning(fault.scenario, fault.case)
        rows.append(
            (
                place_name(fault.scenario, fault.case),
                fault.target,
                " ".join(
                    filter(None, (fault.kind, f"HTTP {fault.status}" if fault.status else "", _length(fault.seconds)))
                ),
                text.percent(fault.rate, 0),
                text.instant(fault.started),
                text.number(fault.started - start, 3) if start is not None else text.NONE,
                "never confirmed"
                if fault.ended is None
                else text.number(fault.ended - start, 3)
                if start is not None
                else text.instant(fault.ended),
                text.count(fault.seen),
                text.count(fault.hit),
            )
        )
    columns = ("Scenario / case", "Target", "Fault", "Rate %", "Started", "On [s]", "Lifted [s]", "Calls seen", "Hit")
    caption = (
        "Faults as they were confirmed where they were injected; seconds from the beginning of the case's measured "
        "part. The rate is the planned one, calls are counted where the fault was injected."
    )
    return Table(columns, tuple(rows), columns[3:4] + columns[5:], caption) if rows else None


def _length(seconds: float | None) -> str:
    return f"{seconds:g} s" if seconds is not None else ""


def method(evidence: Evidence, *more: str) -> Section:
    """What the numbers mean and how they were got, with what a report adds of its own."""
    warmups = sum(1 for job in evidence.jobs if job.warmup)
    models = sorted({c.model for s in evidence.run.scenarios for c in s.cases})
    items = [
        (
            "**Response time** is from the moment a job was due to the moment the client knew its end (with the "
            "content downloaded where the scenario's steps ask for it), of completed jobs; failed jobs count in the "
            "success rate."
        ),
        f"**Load model:** {text.listed(models) or 'none'}.",
    ]
    if "closed" in models:
        items.append(
            "**Closed model:** each of N slots sends its next job when its last one has ended; a job is due when its "
            "slot becomes free. No correction for coordinated omission is applied: while the service is slow, fewer "
            "jobs are sent, so the percentiles hold for N patient users and understate what arrivals at a fixed rate "
            "would see. With a pace, a slot's jobs are due that far apart, or when its last one has ended, if that is "
            "later."
        )
    if "open" in models:
        items.append(
            "**Open model:** jobs arrive at the times of a list made from the seed before the run (even, or Poisson), "
            "whatever became of those before them. Response time is done - due, service time done - sent, lateness "
            "sent - due: time that a job waits for the generator, or for its limit of jobs in flight, counts as "
            "response time, so a service that stands still is seen by all who would have come meanwhile. Jobs that are "
            "not finished at the cut-off are right-censored: a percentile that falls among them is given as `>= x`."
        )
    items += [
        (
            f"**Warm-up:** declared before the run: {text.counted(warmups, 'job')}, recorded and left out of every "
            "statistic."
        ),
        (
            "**PromQL** values are the last samples of the run's own series, read after its end "
            f"(at {text.instant(evidence.measurements.instant)}, range {evidence.measurements.window}); `rate()` and "
            "`increase()` are not used, as they extrapolate in a bounded run. A percentile from a histogram is exact "
            "only to its bucket, which is printed beside it."
        ),
        (
            "**Exact** values come from the client's records. Percentiles are observed values (inverse of the "
            "empirical distribution function); their 95 % confidence intervals are order statistics and need n >= 72 "
            "for an upper limit of P95, n >= 368 of P99. Intervals of averages are Student's t, as it covers more in "
            "small samples than a BCa bootstrap does; those of proportions are Wilson's. Intervals take jobs as "
            "independent; jobs in flight together are not quite, so a repeated run may vary more."
        ),
        (
            f"**Validity:** a run is INVALID when the load generator used more than {MAX_GENERATOR_CPU:g} of a core in "
            f"a case, or sent jobs late (P99) by more than both {MAX_LATENESS * 1000:.0f} ms and "
            f"{MAX_LATENESS_SHARE * 100:.0f} % of the median response time, with 97.5 % confidence, as one late job "
            "of few says nothing. An open case is INVALID also when its event loop lagged so much (P99, likewise), or "
            f"the generator sent fewer than {MIN_SENT * 100:g} % of the jobs that were due; "
            "jobs that a slow service holds up are its result and not the generator's fault."
        ),
    ]
    return Section("Method", (Bullets((*items, *more)),))


def reconciliation(analysis: Analysis) -> Section:
    """Every count beside the client's log."""
    rows = tuple(
        (
            r.scenario,
            count.source,
            count.what,
            count.expected,
            "not available" if count.found is None else text.count(count.found),
            ("agrees" if count.agrees else "**DIFFERS**")
            if count.found is not None
            else literal(count.note.removeprefix("not available: ")),
        )
        for r in analysis.reconciliations
        for count in r.counts
    )
    differences = [d for r in analysis.reconciliations for d in r.differences]
    lead = (
        f"**{text.counted(len(differences), 'count')} not equal to the client's log**; the verdicts of these "
        "scenarios are INCONCLUSIVE."
        if differences
        else "Every available source counts the same jobs as the client's log: nothing was lost on the way."
    )
    sentence = (
        f"{lead} A client's *completed* is the service's *completed* or *partial*. Where the client does not know a "
        "job's end (error, timeout, aborted), a range agrees. A source that does not exist contradicts nothing."
    )
    columns = ("Scenario", "Source", "Counted", "Client's log", "Found", "Result")
    return Section("Reconciliation", (Paragraph(sentence), Table(columns, rows, numeric=("Client's log", "Found"))))


def objectives(evidence: Evidence, analysis: Analysis) -> Section:
    """Every objective with its verdict, and the place on the dashboard where there is one."""
    if not analysis.verdicts:
        return Section("Objectives", (Paragraph("No objective applies to the scenarios that ran."),))
    grafana = _grafana(evidence)
    rows = tuple(
        (
            _link(v.sli.title, grafana_links.panel(grafana, v.sli, evidence.run, v.scenario, v.case)),
            _linked(evidence, v.scenario, v.case, v.member),
            *verdict_cells(v)[2:-1],
            _bucket(v),
            text.count(v.n),
            f"**{v.status}**{f' ({literal(v.reason)})' if v.reason else ''}",
        )
        for v in analysis.verdicts
    )
    columns = ("Indicator", "Where", "Objective", "Value", "Bucket", "n", "Verdict")
    whys = tuple(f"{s.title}: {s.why}" for s in dict.fromkeys(v.sli for v in analysis.verdicts))
    exact = [s.title for s in dict.fromkeys(v.sli for v in analysis.verdicts) if s.source == RECORDS]
    also = f"; exact from the records: {', '.join(exact)}" if exact else ""
    caption = f"Values from PromQL{also}. A percentile's true sample quantile lies in the bucket."
    return Section("Objectives", (Table(columns, rows, ("Value", "Bucket", "n"), caption), Bullets(whys)))


def verdict_cells(v: Verdict) -> tuple[str, str, str, str, str]:
    """Indicator, place, objective, value and n of a verdict, as text."""
    return (
        v.sli.title,
        place_name(v.scenario, v.case, v.member),
        _bound(v),
        text.with_unit(v.value, v.sli.unit),
        text.count(v.n),
    )


def queries(evidence: Evidence, dimension: str) -> Section:
    """Every number with its query, so that it can be asked again."""
    blocks: list[Block] = [
        Paragraph(
            f"All queries were evaluated at Unix time {evidence.measurements.instant:.3f} "
            f"({text.instant(evidence.measurements.instant)}). `measurements.json` holds the same as data."
        )
    ]
    names = {"", *(scenario.name for scenario in evidence.scenarios(dimension))}
    for sli in evidence.catalogue.slis:
        found = [m for m in evidence.measurements.measurements if m.sli == sli.id and m.scenario in names]
        if not sli.of(dimension) or not found:
            continue
        unit = f"{sli.unit}; the query's value is divided by the length of the case" if sli.per_second else sli.unit
        how = f" From the records: {explain(sli.function)}" if sli.function else ""
        blocks.append(Paragraph(f"**{sli.id}** ({unit}): {sli.why}{how}"))
        rows = tuple(
            (
                _linked(evidence, m.scenario, m.case, m.member),
                _with_bucket(m) if m.value is not None else f"no data: {literal(m.no_data or '')}",
                text.count(m.n),
                f"`{m.query}`",
            )
            for m in found
        )
        source = "Function of the records" if sli.function else "Query"
        blocks.append(Table(("Where", f"Value [{sli.unit}]", "n", source), rows, numeric=("n",)))
    return Section("Appendix: queries", tuple(blocks))


def _linked(evidence: Evidence, scenario: str, case: str, member: str) -> str:
    """The name of a place, and a link to what Grafana shows of its time where there is one."""
    address = grafana_links.place(_grafana(evidence), evidence.run, scenario, case)
    return _link(place_name(scenario, case, member), address)


def _link(name: str, address: str | None) -> str:
    return f"[{name}]({address})" if address else name


def _grafana(evidence: Evidence) -> str | None:
    return evidence.stack.grafana_url if evidence.stack else None


def _bound(v: Verdict) -> str:
    sign = "<=" if v.objective.direction == "at_most" else ">="
    return f"{sign} {text.with_unit(v.objective.value, v.sli.unit)}"


def _bucket(v: Verdict) -> str:
    if v.bound is None:
        return text.NONE
    lower = text.with_unit(v.bound.lower, v.sli.unit)
    return f"> {lower}" if v.bound.upper is None else f"{lower} to {text.with_unit(v.bound.upper, v.sli.unit)}"


def _sentence(v: Verdict) -> str:
    value = text.with_unit(v.value, v.sli.unit) if v.value is not None else literal(v.reason)
    value += f" (bucket {_bucket(v)})" if v.bound else ""
    return f"{v.sli.title} in {place_name(v.scenario, v.case, v.member)}: {value}, objective {_bound(v)}"


def _with_bucket(m: Measurement) -> str:
    assert m.value is not None
    if m.bound is None:
        return _number(m.value)
    upper = f"to {_number(m.bound.upper)}" if m.bound.upper is not None else "and above"
    return f"{_number(m.value)} (bucket {_number(m.bound.lower)} {upper})"


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - where six digits end
