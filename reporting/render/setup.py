"""The paragraph "Experimental setup" of a paper, from what a run recorded of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reelbench.loadgen.record.run import EnvironmentRecord, FaultRecord
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.document import text
from reelbench.reporting.render.tex import code, escape
from reelbench.reporting.results.results import CaseWindow, Results

_METHODS = {
    "order statistics": "of percentiles from order statistics",
    "Wilson": "of proportions by Wilson's score method",
    "Clopper and Pearson": "of rare events by Clopper and Pearson's method",
    "Student's t": "of means by Student's $t$",
}


def paragraph(results: Results) -> str:
    """The paragraph, a line for each sentence."""
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
        f"The machine has {escape(_counted(machine.cpu_count, 'core'))} ({escape(machine.cpu_model)}) and "
        f"{text.size(machine.memory_bytes)} of memory{escape(_limits(machine))}; it runs {escape(machine.os)}."
    )
    versions = ", ".join(f"{name} {machine.packages[name]}" for name in sorted(machine.packages))
    yield f"Software: {escape(machine.python)}{f', {escape(versions)}' if versions else ''}."
    if machine.commit:
        dirty = " with uncommitted changes" if machine.dirty else ""
        lock = f"; the lock file has sha256 {code(machine.lock_sha256)}" if machine.lock_sha256 else ""
        yield f"Reelbench is of commit {code(machine.commit)}{dirty}{lock}."


def _limits(machine: EnvironmentRecord) -> str:
    limits = machine.limits
    if limits is None:
        return ""
    parts = [f"{limits.cpu_cores:g} cores"] if limits.cpu_cores is not None else []
    parts += [f"{text.size(limits.memory_bytes)} of memory"] if limits.memory_bytes is not None else []
    return f", of which the load generator's container allows {' and '.join(parts)}" if parts else ""


def _telemetry(stack: StackRecord | None) -> Iterator[str]:
    if stack is None:
        return
    parts = ", ".join(" ".join(filter(None, (part.name, part.version))) for part in stack.components)
    text = f"Telemetry is that of the {stack.kind} stack ({parts})" if parts else f"Telemetry: {stack.kind} stack"
    if stack.prometheus is not None:
        interval = stack.prometheus.scrape_interval
        every = (
            f", scraped every {f'{interval:g} s' if isinstance(interval, int | float) else interval}"
            if interval
            else ""
        )
        text += f" with Prometheus {stack.prometheus.version or 'of unknown version'}{every}"
    yield f"{escape(text)}."


def _load(results: Results) -> Iterator[str]:
    provenance = results.provenance
    begun = [case for case in results.cases if case.started is not None]
    busy = [case for case in begun if case.model != "idle"]
    document = provenance.document
    yield (
        f"Load follows a plan with seed {provenance.seed} and sha256 {code(provenance.plan_sha256)}; jobs upload "
        f"{escape(document.name)} ({text.size(document.bytes)}, sha256 {code(document.sha256)})."
    )
    for model in sorted({case.model for case in busy}):
        chosen = [case for case in busy if case.model == model]
        yield f"The {escape(model)} model has {_sizes(chosen)}."
    if busy:
        warmup = sum(case.warmup for case in busy)
        planned = [case.planned for case in busy]
        yield (
            f"Each case has {_range(planned)} measured jobs ({text.count(sum(planned))} in all); "
            f"{text.count(warmup)} jobs declared as warm-up before the run are left out of every statistic."
        )
    off = [name for name, on in sorted((provenance.switches or {}).items()) if not on]
    if off:
        yield f"The service ran without {escape(' and '.join(off))}."


def _sizes(cases: Sequence[CaseWindow]) -> str:
    flights = sorted({case.concurrency for case in cases if case.concurrency})
    levels = f" with {', '.join(map(str, flights))} jobs in flight" if flights else ""
    return f"{_counted(len(cases), 'case')} of {_counted(len({c.scenario for c in cases}), 'scenario')}{levels}"


def _faults(faults: Sequence[FaultRecord]) -> Iterator[str]:
    if not faults:
        yield "No fault was injected."
        return
    kinds = dict.fromkeys(_fault(fault) for fault in faults)
    told = "; ".join(f"{kind} ({_counted(sum(1 for f in faults if _fault(f) == kind), 'time')})" for kind in kinds)
    yield f"Faults were injected on exact seeded schedules: {escape(told)}."


def _fault(fault: FaultRecord) -> str:
    status = f" with HTTP {fault.status}" if fault.status else ""
    length = f" of {fault.seconds:g} s" if fault.seconds is not None else ""
    return f"{fault.kind}{status}{length} of {fault.target} at {fault.rate * 100:g} % of the calls in {fault.scenario}"


def _statistics(results: Results) -> Iterator[str]:
    used = dict.fromkeys(number.interval.method for number in results.numbers if number.interval is not None)
    methods = ", ".join(words for name, words in _METHODS.items() if name in used)
    yield (
        "Percentiles are observed values (inverse of the empirical distribution function) of the client's records, "
        r"beside the answer of PromQL with its bucket."
    )
    if methods:
        yield rf"Intervals are of 95\,\%: {methods}; they take jobs as independent."
    counts = [count for count in results.reconciliation if count.found is not None]
    differ = sum(1 for count in counts if not count.agrees)
    yield (
        f"{text.count(len(counts))} counts of store, Prometheus and traces were compared with the client's log: "
        f"{f'{differ} differ' if differ else 'all agree'}."
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
