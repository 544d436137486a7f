"""The paragraph "Experimental setup" of a paper, from what a run recorded of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from reelbench.loadgen.record.run import EnvironmentRecord, FaultRecord
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.document import text
from reelbench.reporting.render.latex import code, escape
from reelbench.reporting.results.results import CaseWindow, Provenance, Results

_METHODS = {
    "order statistics": "of percentiles from order statistics",
    "Clopper and Pearson": "of proportions by Clopper and Pearson's exact method",
    "Student's t": "of means by Student's $t$",
    "batch means": "of rates by ten batch means",
}


def paragraph(results: Results) -> str:
    """Return the paragraph, with a line for each sentence."""
    sentences = (
        *_machine(results),
        *_telemetry(results.provenance.stack),
        *_load(results),
        *_faults(results.provenance.faults),
        *_statistics(results),
    )
    return "\n".join([r"\paragraph{Experimental setup.}", *sentences, ""])


def _machine(results: Results) -> Iterator[str]:
    machine = results.provenance.environment
    yield (
        f"Run {code(results.run_id)} (profile {escape(results.profile)}, {text.instant(results.started)} to "
        f"{text.instant(results.ended)}) measured the service at {code(results.target)}."
    )
    yield (
        f"The machine has {text.counted(machine.cpu_count, 'core')} ({escape(machine.cpu_model)}) and "
        f"{text.size(machine.memory_bytes)} of memory{_limits(machine)}; it runs {escape(machine.os)}."
    )
    versions = (f"{name} {machine.packages[name]}" for name in sorted(machine.packages))
    yield f"Software: {escape(', '.join((machine.python, *versions)))}."
    if machine.commit:
        dirty = " with uncommitted changes" if machine.dirty else ""
        lock = f"; the lock file has sha256 {code(machine.lock_sha256)}" if machine.lock_sha256 else ""
        yield f"Reelbench is at commit {code(machine.commit)}{dirty}{lock}."


def _limits(machine: EnvironmentRecord) -> str:
    limits = machine.limits
    if limits is None:
        return ""
    parts = [f"{limits.cpu_cores:g} cores"] if limits.cpu_cores is not None else []
    parts += [f"{text.size(limits.memory_bytes)} of memory"] if limits.memory_bytes is not None else []
    return f", of which the container of the load generator may use {' and '.join(parts)}" if parts else ""


def _telemetry(stack: StackRecord | None) -> Iterator[str]:
    if stack is None:
        return
    parts = ", ".join(" ".join(filter(None, (part.name, part.version))) for part in stack.components)
    sentence = f"Telemetry comes from the {stack.origin}{f' ({parts})' if parts else ''}"
    if stack.prometheus is not None:
        interval = stack.prometheus.scrape_interval
        every = f"{interval:g} s" if isinstance(interval, int | float) else interval
        sentence += f" with Prometheus {stack.prometheus.version or 'of unknown version'}"
        sentence += f", scraped every {every}" if interval else ""
    yield f"{escape(sentence)}."


def _load(results: Results) -> Iterator[str]:
    provenance = results.provenance
    busy = [case for case in results.cases if case.started is not None and case.model != "idle"]
    plan = f"Load follows a plan with seed {provenance.seed} and sha256 {code(provenance.plan_sha256)}"
    yield f"{plan}; {'; '.join(_inputs(provenance))}."
    for model in sorted({case.model for case in busy}):
        yield f"The {escape(model)} model has {_sizes([case for case in busy if case.model == model])}."
    if busy:
        planned = [case.planned for case in busy]
        low, high = min(planned), max(planned)
        yield (
            f"Each case has {low if low == high else f'{low} to {high}'} measured jobs ({text.count(sum(planned))} in "
            f"all); {text.count(sum(case.warmup for case in busy))} jobs, declared as warm-up before the run, are "
            "excluded from every statistic."
        )
    off = [name for name, on in sorted((provenance.switches or {}).items()) if not on]
    if off:
        yield f"The service ran without {escape(' and '.join(off))}."


def _inputs(provenance: Provenance) -> Iterator[str]:
    document, workload = provenance.document, provenance.workload
    if document is not None:
        yield (f"jobs upload {escape(document.name)} ({text.size(document.bytes)}, sha256 {code(document.sha256)})")
    elif workload is None or not workload.references:
        yield "jobs send a prompt and no file"
    if workload is None:
        return
    if workload.references:
        yield f"jobs upload {text.counted(len(workload.references), 'reference')} (images or videos)"
    for what, file in (("prompts", workload.prompts), ("arrivals", workload.arrivals)):
        if file is not None:
            yield f"{what} are those of {escape(file.name)} ({file.rows} rows, sha256 {code(file.sha256)})"


def _sizes(cases: Sequence[CaseWindow]) -> str:
    flights = sorted({case.concurrency for case in cases if case.concurrency})
    levels = f" with {', '.join(map(str, flights))} jobs in flight" if flights else ""
    scenarios = text.counted(len({case.scenario for case in cases}), "scenario")
    return f"{text.counted(len(cases), 'case')} of {scenarios}{levels}"


def _faults(faults: Sequence[FaultRecord]) -> Iterator[str]:
    if not faults:
        yield "No fault was injected."
        return
    schedules = "" if all(fault.outside for fault in faults) else " on exact seeded schedules"
    kinds = (f"{kind} ({text.counted(times, 'time')})" for kind, times in Counter(map(_fault, faults)).items())
    yield f"Faults were injected{schedules}: {escape('; '.join(kinds))}."


def _fault(fault: FaultRecord) -> str:
    status = f" with HTTP {fault.status}" if fault.status else ""
    length = f" of {fault.seconds:g} s" if fault.seconds is not None else ""
    if fault.outside:
        share = "" if fault.rate == 1 else f" for {fault.rate * 100:g} % of the connections"
        return f"{fault.target} {fault.kind}{length}{share} in {fault.scenario}"
    return f"{fault.kind}{status}{length} of {fault.target} at {fault.rate * 100:g} % of the calls in {fault.scenario}"


def _statistics(results: Results) -> Iterator[str]:
    used = {value.interval.method for value in results.numbers if value.interval is not None}
    yield (
        "Percentiles are observed values (inverse of the empirical distribution function) of the client's records, "
        "given with the PromQL results and their buckets."
    )
    if methods := ", ".join(words for name, words in _METHODS.items() if name in used):
        yield rf"Confidence intervals have a level of 95\,\%: {methods}; jobs are taken as independent."
    counts = [count for count in results.reconciliation if count.found is not None]
    differ = sum(not count.agrees for count in counts)
    yield (
        f"{text.count(len(counts))} counts of store, Prometheus and traces were compared with the client's log: "
        f"{f'{differ} differ' if differ else 'all agree'}."
    )
