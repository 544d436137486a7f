"""How a run was made, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.loadgen.record.rate_rule import MAX_LATENESS, MAX_LATENESS_SHARE
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, LimitsRecord, RunRecord
from reelbench.reporting.analysis.generator_health import MAX_GENERATOR_CPU, MIN_SENT
from reelbench.reporting.analysis.reconciliation import Count
from reelbench.reporting.analysis.record_slis import explain
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import grafana_links, running, text
from reelbench.reporting.document import workload as workload_words
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.sections.verdict import linked

MOST_COUNTS = 20
"""Counts that differ and stand in a report; the appendix has all."""


def environment(evidence: Evidence) -> Section:
    """Return where the run was made, with which software and against which target."""
    run, machine = evidence.run, evidence.run.environment
    dirty = ", with uncommitted changes" if machine.dirty else ""
    rows = [
        ("Run", f"`{run.run_id}`, profile {run.profile}, seed {run.seed}, plan sha256 `{run.plan_hash}`"),
        ("Time", f"{text.instant(run.started)} to {text.instant(run.ended)}"),
        ("Target", run.target),
        *_server(run),
        *workload_words.rows(run.document, run.workload),
        ("CPU", f"{machine.cpu_model}, {machine.cpu_count} cores"),
        ("Memory", text.size(machine.memory_bytes)),
        ("Container limits", _limits(machine.limits)),
        ("Operating system", machine.os),
        ("Python", machine.python),
        ("Libraries", ", ".join(f"{name} {machine.packages[name]}" for name in sorted(machine.packages)) or text.NONE),
        ("Commit", f"`{machine.commit}`{dirty}" if machine.commit else literal(running.no_commit(machine))),
        ("Lock file", f"sha256 `{machine.lock_sha256}`" if machine.lock_sha256 else text.NONE),
    ]
    if run.budget is not None:
        rows.append(("Left out for the time budget", "; ".join(map(literal, run.budget.left_out)) or "nothing"))
    if run.switches:
        words = ", ".join(f"{name} {'on' if on else '**off**'}" for name, on in sorted(run.switches.items()))
        rows.append(("Service toggles", words))
    rows += running.rows(evidence.conditions)
    return Section("Environment", (Table(("Item", "Value"), (*rows, *_stack(evidence))),))


def _server(run: RunRecord) -> list[tuple[str, str]]:
    """Return the kind of another maker's server, what it offers and how its jobs were asked for."""
    server = run.server
    if server is None or server.ours:
        return []
    has = sorted(name for name, offered in server.offers.items() if offered)
    lacks = sorted(name for name, offered in server.offers.items() if offered is False)
    model = f", model {literal(server.model)}" if server.model is not None else ""
    rows = [("Server", f"{literal(server.title)} (target file `{server.name}`){model}")]
    if server.synchronous:
        rows.append(("Operations", "create alone: its answer comes when the video is made"))
    else:
        rows.append(("Operations", f"has {text.listed(has) or 'none'}; does not have {text.listed(lacks) or 'none'}"))
    if server.notes:
        rows.append(("Adapted to the server", "; ".join(map(literal, server.notes))))
    return rows


def _stack(evidence: Evidence) -> list[tuple[str, str]]:
    run, stack = evidence.run, evidence.stack
    if stack is None:
        return [("Stack", "not recorded")]
    made = [c for c in stack.components if not (evidence.foreign and c.version is None)]  # the target has its own row
    parts = ", ".join(" ".join(filter(None, (c.name, c.version))) for c in made)
    rows = [("Stack", f"{stack.origin}{f': {parts}' if parts else ''}")]
    if stack.prometheus:
        interval = stack.prometheus.scrape_interval
        every = f"{interval:g} s" if isinstance(interval, int | float) else interval
        rows.append(("Prometheus", f"{stack.prometheus.version or 'version unknown'}, scraped every {every or '-'}"))
    settled = "all targets read after the end" if stack.settled else "NOT settled: late samples may be missing"
    if run.service_replicas > 1:
        rows.append(("Replicas of the service", f"{run.service_replicas} behind its address"))
    rows.append(("Telemetry", f"{settled} ({text.instant(stack.settled_at)})"))
    if stack.grafana_url and run.ended is not None:
        rows.append(("Grafana", f"[the run on the dashboard Live run]({grafana_links.place(stack.grafana_url, run)})"))
    return rows


def _begun(case: CaseRecord) -> str:
    if case.started is not None:
        return text.instant(case.started)
    return "not needed by the search" if case.not_needed else "not run"


def _limits(limits: LimitsRecord | None) -> str:
    if limits is None:
        return "none known"
    cores = f"{limits.cpu_cores:g} cores" if limits.cpu_cores is not None else "no CPU limit"
    memory = text.size(limits.memory_bytes) if limits.memory_bytes is not None else "no memory limit"
    return f"{cores}, {memory}"


def workload(evidence: Evidence, dimension: str) -> Section:
    """Return the scenarios with their cases, and the faults as they were injected."""
    rows = tuple(
        (
            scenario.name,
            scenario.why,
            ", ".join(scenario.steps),
            case.name,
            _load(case),
            text.count(case.planned),
            text.count(case.warmup),
            _begun(case),
            text.number(case_seconds(case), 1),
        )
        for scenario in evidence.run.scenarios
        if scenario.dimension == dimension
        for case in scenario.cases
    )
    columns = ("Scenario", "Why", "Steps", "Case", "Load", "Jobs", "Warm-up", "Started", "Length [s]")
    blocks: list[Block] = [Table(columns, rows, numeric=("Jobs", "Warm-up", "Length [s]"))]
    found = evidence.faults(*(scenario.name for scenario in evidence.scenarios(dimension)))
    if found:
        names = ("Scenario / case", "Target", "Fault", "Rate %", "Started", "On [s]", "Lifted [s]", "Calls seen", "Hit")
        caption = (
            "Faults with the times at which the injecting side confirmed them, in seconds from the start of the case. "
            "The rate is the planned one; calls are counted at the injecting side."
        )
        blocks.append(Table(names, tuple(_fault(evidence, fault) for fault in found), names[3:4] + names[5:], caption))
    return Section("Workload", tuple(blocks))


def _load(case: CaseRecord) -> str:
    parts = [f"{case.model}, {case.concurrency} in flight" if case.model == "closed" else case.model]
    if case.arrivals is not None:
        load = case.arrivals
        mean = " on average" if load.process == "trace" else ""
        parts.append(f"{load.process} {load.rate:g} jobs/s{mean} for {load.seconds:g} s")
        if load.burst_rate is not None:
            parts.append(f"{load.burst_rate:g} jobs/s from {load.burst_at:g} s for {load.burst_seconds:g} s")
    if case.pace:
        parts.append(f"pace {case.pace:g} s")
    parts += [f"{name} {'on' if on else 'off'}" for name, on in sorted(case.switches.items())]
    if case.prompts != "unique":
        parts.append(f"prompts {case.prompts.replace('_', ' ')}")
    return ", ".join(parts)


def _fault(evidence: Evidence, fault: FaultRecord) -> tuple[str, ...]:
    start = evidence.beginning(fault.scenario, fault.case)
    status = f"HTTP {fault.status}" if fault.status else ""
    length = f"{fault.seconds:g} s" if fault.seconds is not None else ""
    lifted = text.number(fault.ended - start, 3) if fault.ended is not None and start is not None else text.NONE
    return (
        place_name(fault.scenario, fault.case),
        fault.target,
        " ".join(filter(None, (fault.kind, status, length))),
        text.percent(fault.rate, 0),
        text.instant(fault.started),
        text.number(fault.started - start if start is not None else None, 3),
        "never confirmed" if fault.ended is None else lifted,
        text.count(fault.seen),
        text.count(fault.hit),
    )


CLOSED = (
    "**Closed model:** each of N virtual users sends its next job when its last one has ended; the intended start of a "
    "job is the moment its virtual user becomes free. Coordinated omission is not corrected: while the service is "
    "slow, fewer jobs are sent, so percentiles hold for N patient users and understate what arrivals at a fixed rate "
    "would see. With a pace, the intended starts of a virtual user are at least that far apart."
)
OPEN = (
    "**Open model:** jobs arrive at the times of a list made from the seed before the run (constant or Poisson), "
    "independent of earlier jobs. Response time is done - intended start, service time done - sent, send delay sent - "
    "intended start. Time that a job waits for the generator or for the limit of jobs in flight counts as response "
    "time, so a stall of the service shows in every job that arrives meanwhile. Jobs unfinished at the cut-off are "
    "right-censored: a percentile that falls among them is given as `≥ x`."
)
TRACE = (
    "**Replay of a trace:** the arrival times are those of the user's file, divided by the speed; the first arrival is "
    "at the start of the case. The rate of such a case is the mean over its length."
)


def method(evidence: Evidence, *more: str) -> Section:
    """Return how the numbers were measured and computed; `more` are the sentences of the dimensions."""
    models = sorted({c.model for s in evidence.run.scenarios for c in s.cases})
    warmups = sum(1 for job in evidence.jobs if job.warmup)
    items = [
        (
            "**Response time** lasts from the intended start of a job until the client knows its end (including the "
            "download where the scenario's steps ask for it), of completed jobs; failed jobs count in the success rate."
        ),
        f"**Load model:** {text.listed(models) or 'none'}.",
        *(sentence for model, sentence in (("closed", CLOSED), ("open", OPEN)) if model in models),
        *((TRACE,) if _replays(evidence) else ()),
        f"**Warm-up:** {text.counted(warmups, 'job')}, declared before the run, left out of all statistics.",
        (
            "**PromQL** values are the last samples of the run's own series, read after its end "
            f"(at {text.instant(evidence.measurements.instant)}, range {evidence.measurements.window}); `rate()` and "
            "`increase()` are not used, as they extrapolate in a bounded run. A percentile of a histogram is exact "
            "only to its bucket, which is printed next to it."
        ),
        (
            "**Exact** values come from the client's records. Percentiles are observed values (inverse of the "
            "empirical distribution function); their 95 % confidence intervals are order statistics and need n ≥ 72 "
            "for an upper limit of P95, n ≥ 368 of P99. Intervals of averages are Student's t, which covers more than "
            "a BCa bootstrap in small samples; intervals of proportions are exact (Clopper and Pearson), of throughput "
            "batch means (ten batches). Intervals treat jobs as independent; jobs in flight together are not quite, so "
            "repeated runs may vary more."
        ),
        (
            f"**Validity:** a run is INVALID when the load generator used more than {MAX_GENERATOR_CPU:g} of a core in "
            f"a case, or its send delay (P99) exceeded both {MAX_LATENESS * 1000:.0f} ms and "
            f"{MAX_LATENESS_SHARE * 100:.0f} % of the median response time, with 97.5 % confidence, so a single late "
            "job in a small sample cannot fail it. An open case is also INVALID when its event loop lagged that much "
            f"(P99, same confidence), or fewer than {MIN_SENT * 100:g} % of the arrived jobs were sent. Jobs held up "
            "by a slow service do not count against the generator."
        ),
        *more,
    ]
    return Section("Method", (Bullets(tuple(items)),))


def _replays(evidence: Evidence) -> bool:
    cases = (case for scenario in evidence.run.scenarios for case in scenario.cases)
    return any(case.arrivals is not None and case.arrivals.process == "trace" for case in cases)


def reconciliation(analysis: Analysis, dimension: str) -> Section:
    """Return how many counts of each source agree with the client's log, and each count that differs."""
    counts = [(r.scenario, count) for r in analysis.reconciliations for count in r.counts]
    differences = [d for r in analysis.reconciliations for d in r.differences]
    lead = (
        f"**{text.counted(len(differences), 'count')} not equal to the client's log**; the verdicts of these "
        "scenarios are INCONCLUSIVE."
        if differences
        else "Every available source counts the same jobs as the client's log."
    )
    by_source: dict[str, list[Count]] = {}
    for _, count in counts:
        by_source.setdefault(count.source, []).append(count)
    rows = tuple(
        (
            source,
            text.count(len(found)),
            text.count(sum(one.found is not None and one.agrees for one in found)),
            text.count(sum(one.found is not None and not one.agrees for one in found)),
            text.count(sum(one.found is None for one in found)),
        )
        for source, found in by_source.items()
    )
    columns = ("Source", "Counts", "Agree", "Differ", "Not available")
    blocks: list[Block] = [
        Paragraph(f"{lead} [Every count](#appendix-{dimension}-counts)."),
        Table(columns, rows, columns[1:], name=f"{dimension}_reconciliation_by_source"),
    ]
    differing = [(scenario, count) for scenario, count in counts if count.found is not None and not count.agrees]
    if differing:
        blocks.append(_counts(differing[:MOST_COUNTS], f"{dimension}_reconciliation_differences"))
    return Section("Reconciliation", tuple(blocks))


def counts(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """Return every count next to the client's log."""
    words = "" if evidence.foreign else " *Completed* in the client's log is *completed* or *partial* in the service."
    sentence = (
        f"{words} Where the client does not know the end of a job (error, timeout, aborted), or the server "
        "removed it, the count may lie in a range. Missing sources are skipped."
    )
    every = [(r.scenario, count) for r in analysis.reconciliations for count in r.counts]
    return Section("Counts", (Paragraph(sentence.strip()), _counts(every, f"{dimension}_reconciliation")))


def _counts(found: Sequence[tuple[str, Count]], name: str) -> Table:
    rows = tuple(
        (
            scenario,
            count.source,
            count.what,
            count.expected,
            "not available" if count.found is None else text.count(count.found),
            (f"agrees{f'; {literal(count.note)}' if count.note else ''}" if count.agrees else "**DIFFERS**")
            if count.found is not None
            else literal(count.note.removeprefix("not available: ")),
        )
        for scenario, count in found
    )
    columns = ("Scenario", "Source", "Counted", "Client's log", "Found", "Result")
    return Table(columns, rows, numeric=("Client's log", "Found"), name=name)


def queries(evidence: Evidence, dimension: str) -> Section:
    """Return every number with its query, so that it can be asked for again."""
    asked = evidence.measurements
    blocks: list[Block] = [
        Paragraph(
            f"All queries were evaluated at Unix time {asked.instant:.3f} ({text.instant(asked.instant)}). "
            "`measurements.json` holds the same as data."
        )
    ]
    names = {"", *(scenario.name for scenario in evidence.scenarios(dimension))}
    measured: dict[str, list[Measurement]] = {}
    for one in asked.measurements:
        if one.scenario in names:
            measured.setdefault(one.sli, []).append(one)
    for sli in evidence.catalogue.slis:
        found = measured.get(sli.id, [])
        if not sli.of(dimension) or not found:
            continue
        unit = f"{sli.unit}; the query's value is divided by the length of the case" if sli.per_second else sli.unit
        how = f" From the records: {explain(sli.function)}" if sli.function else ""
        blocks.append(Paragraph(f"**{sli.id}** ({unit}): {sli.why}{how}"))
        rows = tuple(
            (
                linked(evidence, m.scenario, m.case, m.member),
                _with_bucket(m, m.value) if m.value is not None else f"no data: {literal(m.no_data or '')}",
                text.count(m.n),
                f"`{m.query}`",
            )
            for m in found
        )
        source = "Function of the records" if sli.function else "Query"
        blocks.append(Table(("Where", f"Value [{sli.unit}]", "n", source), rows, numeric=("n",)))
    return Section("Queries", tuple(blocks), folded=True)


def raw_samples(evidence: Evidence) -> Section:
    """Return the number of raw samples of each series, with their selectors."""
    blocks: list[Block] = []
    for reading in evidence.catalogue.readings:
        rows = tuple(
            (
                place_name(
                    s.scenario, s.case, ", ".join(s.labels[name] for name in ("job", "type") if name in s.labels)
                ),
                text.count(len(s.values)),
                f"{s.instant:.3f}",
                f"`{s.query}`",
            )
            for s in evidence.measurements.series
            if s.reading == reading.id
        )
        if rows:
            blocks.append(Paragraph(f"**{reading.id}** ({reading.unit}): {reading.why}"))
            blocks.append(Table(("Where", "Samples", "Evaluated at", "Query"), rows, ("Samples", "Evaluated at")))
    if not blocks:
        blocks.append(Paragraph("No raw samples were read."))
    return Section("Raw samples", tuple(blocks), folded=True)


def _with_bucket(m: Measurement, value: float) -> str:
    if m.bound is None:
        return _number(value)
    upper = f"to {_number(m.bound.upper)}" if m.bound.upper is not None else "and above"
    return f"{_number(value)} (bucket {_number(m.bound.lower)} {upper})"


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - where six digits end
