"""The circuit breaker: does it open, does it hold, and how soon is the provider back."""

from __future__ import annotations

from collections import Counter

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.open_breaker_calls import OpenBreakerCalls, open_breaker_calls
from reelbench.reporting.analysis.outages import Outage, Recovery, calls_during, outages, recovery, transitions
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Series, Table, Timeline
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import summarize

SCENARIO = "llm_outage"
STATES = ("closed", "half_open", "open")


def section(evidence: Evidence) -> Section:
    """Time line, transitions, calls while open, fast failures and times to recover."""
    title = "Circuit breaker"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    found = outages(evidence, SCENARIO)
    charts = _charts(evidence, found)
    if evidence.switched_off("breaker"):
        return Section(title, (*_without(evidence, found), *charts))
    crossed = open_breaker_calls(evidence, SCENARIO)
    blocks: list[Block] = [
        Bullets((*_opening(evidence, found), *_holding(evidence, crossed), *_fast(evidence, crossed)))
    ]
    blocks += charts
    blocks += [_transitions(evidence), _passed(crossed, counted=_counted(evidence)), *_recovery(found)]
    return Section(title, tuple(blocks))


def mean_time(found: Recovery) -> str:
    """The mean time to recovery in running text."""
    limits = found.interval
    interval = (
        f"95 % CI {max(limits.lower, 0):.3f} to {limits.upper:.3f} s"
        if limits.lower is not None and limits.upper is not None
        else "one outage gives no interval"
    )
    censored = f"; left out: {found.censored} that never recovered within the case" if found.censored else ""
    return f"**{found.mean:.3f} s** ({interval}, n = {found.n}{censored})"


def _opening(evidence: Evidence, found: tuple[Outage, ...]) -> list[str]:
    if not evidence.breakers_read(SCENARIO):
        return ["The service's breakers could not be read: whether they opened is not known (SERVICE_ADMIN=true)."]
    opened = sum(1 for outage in found if outage.opened is not None)
    closed = sum(1 for outage in found if outage.recovery is not None)
    sentences = [
        f"The breaker opened in **{opened} of {len(found)}** outages and recovered from {closed} within the case."
    ]
    elsewhere = Counter(
        (t.scenario, t.provider) for t in evidence.run.transitions if t.after == "open" and t.scenario != SCENARIO
    )
    sentences += [
        f"The breaker of {provider} also opened in `{scenario}`, {number} times: attempts rejected there count as "
        "failed."
        for (scenario, provider), number in sorted(elsewhere.items())
    ]
    return sentences


def _holding(evidence: Evidence, crossed: OpenBreakerCalls) -> list[str]:
    if not _counted(evidence):
        return ["The provider's own log of calls is not there, so calls while open cannot be counted."]
    providers = sorted({interval.provider for interval in crossed.intervals})
    rejected = sum(evidence.value("not_permitted", SCENARIO, member=provider) or 0 for provider in providers)
    return [
        (
            f"**{len(crossed.passed)} calls passed while the breaker was open**, of {crossed.counted:,} calls that the "
            f"provider counted ({len(crossed.intervals)} open intervals). {len(crossed.in_flight)} more arrived while "
            "it was open but had been sent before it opened: in flight, no violation."
        ),
        f"The breaker rejected {round(rejected):,} attempts at once (PromQL) that would have reached the provider.",
    ]


def _counted(evidence: Evidence) -> bool:
    return any(call.scenario == SCENARIO for call in evidence.calls)


def _fast(evidence: Evidence, crossed: OpenBreakerCalls) -> list[str]:
    failed = [
        job.done - job.sent
        for job in evidence.scenario_jobs(SCENARIO)
        if job.outcome is Outcome.FAILED
        and any(i.case == job.case and i.opened <= job.sent < i.until for i in crossed.intervals)
    ]
    times = summarize(failed)
    if times is None:
        return ["No job that was sent while a breaker was open failed, so there is no fast failure to time."]
    return [
        (
            f"Fast failure: jobs sent while a breaker was open failed after {text.with_unit(times.average, 's')} on "
            f"average, {text.with_unit(times.maximum, 's')} at most (n = {times.n})."
        )
    ]


def _without(evidence: Evidence, found: tuple[Outage, ...]) -> list[Block]:
    rows = tuple(
        (
            *_head(evidence, outage),
            text.seconds(outage.lifted - outage.on if outage.lifted is not None else None),
            text.count(len(calls_during(evidence, outage))),
        )
        for outage in found
    )
    columns = ("Case", "Provider", "Fault on [s]", "Length [s]", "Provider calls during the outage")
    text = (
        "**The breaker was switched off**: this run is the baseline without it. Every attempt of a job goes to the "
        "provider although it is down, as the provider's own count shows; nothing opens, so there is no MTTR."
    )
    return [Paragraph(text), Table(columns, rows, columns[2:], "Calls counted at the provider.")]


def _transitions(evidence: Evidence) -> Table:
    found = sorted((t for t in evidence.run.transitions if t.scenario == SCENARIO), key=lambda t: t.at)
    rows = tuple(
        (t.case, t.provider, text.seconds(_at(evidence, t.case, t.at)), t.before, t.after, text.instant(t.at))
        for t in found
    )
    columns = ("Case", "Provider", "At [s]", "From", "To", "UTC")
    return Table(
        columns, rows, ("At [s]",), "Changes of state as the service recorded them, from the case's beginning."
    )


def _passed(crossed: OpenBreakerCalls, *, counted: bool) -> Table:
    rows = []
    for interval in crossed.intervals:
        length = interval.until - interval.opened
        passed = [call for call in crossed.passed if interval.holds(call)]
        flying = [call for call in crossed.in_flight if interval.holds(call)]
        latest = max((call.arrived - interval.opened for call in flying), default=None)
        rows.append(
            (
                interval.case,
                interval.provider,
                text.seconds(length) if length != float("inf") else "to the end of the case",
                text.count(len(passed) if counted else None),
                text.count(len(flying) if counted else None),
                text.milliseconds(latest),
            )
        )
    columns = ("Case", "Provider", "Open for [s]", "Passed", "In flight", "Last in flight [ms]")
    caption = (
        "Arrivals at the provider within each open interval, counted at the provider. In flight: sent before the "
        "opening, by the caller's time stamp; the last column is how long after the opening the latest one arrived."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _recovery(found: tuple[Outage, ...]) -> list[Block]:
    rows = tuple(
        (
            outage.case,
            outage.provider,
            text.seconds(outage.lifted - outage.on if outage.lifted is not None else None),
            text.seconds(outage.detection) if outage.opened is not None else "did not open",
            text.seconds(outage.open_after_lifting),
            text.seconds(outage.probe),
            text.seconds(outage.to_first_job),
            text.seconds(outage.after_lifting),
            text.seconds(outage.recovery)
            if outage.recovery is not None or outage.opened is None
            else "never within the case",
        )
        for outage in found
    )
    columns = (
        "Case", "Provider", "Fault length", "Detection", "Open after lifting", "Probe", "Closed to first job",
        "Lifting to closed", "Recovery",
    )  # fmt: skip
    caption = (
        "Seconds, every outage. Detection: fault on to opened. Open after lifting: lifted to the good probe. Probe: "
        "half open to closed. First job: closed to the first completed job that was sent after the lifting. Recovery: "
        "fault on to closed. Lifting to closed is what the breaker itself costs; up to its open time (a setting of the "
        "service) can pass before it may probe, so that setting bounds it, however fast the provider is back."
    )
    blocks: list[Block] = [Table(columns, rows, columns[2:], caption)]
    figures = recovery(found)
    if figures is None:
        blocks.append(Paragraph("No outage opened the breaker and recovered within the case, so there is no MTTR."))
        return blocks
    after = [outage.after_lifting for outage in found if outage.recovery is not None]
    lifting = summarize([value for value in after if value is not None])
    items = [
        (
            f"MTTR = mean of (breaker closed - fault on): {mean_time(figures)}; median {figures.median:.3f} s, minimum "
            f"{figures.minimum:.3f} s, maximum {figures.maximum:.3f} s."
        )
    ]
    if lifting:
        items.append(
            f"From lifting to closed: {lifting.average:.3f} s on average, {lifting.minimum:.3f} to "
            f"{lifting.maximum:.3f} s (n = {lifting.n}). MTTR also holds the length of the fault itself, so this is "
            "the figure to compare between services."
        )
    if figures.censored:
        items.append(f"Outages that never recovered within the case: {figures.censored}. MTTR is a lower limit.")
    return [*blocks, Bullets(tuple(items))]


def _charts(evidence: Evidence, found: tuple[Outage, ...]) -> list[Timeline]:
    places = dict.fromkeys((outage.case, outage.provider) for outage in found)
    return [_chart(evidence, case, provider, found) for case, provider in places]


def _chart(evidence: Evidence, case: str, provider: str, found: tuple[Outage, ...]) -> Timeline:
    def at(instant: float) -> float:
        return _at(evidence, case, instant)

    off = evidence.switched_off("breaker")
    changes = [] if off else transitions(evidence, SCENARIO, case, provider)
    calls = [c for c in evidence.calls if (c.scenario, c.case, c.provider) == (SCENARIO, case, provider)]
    mine = [outage for outage in found if (outage.case, outage.provider) == (case, provider)]
    end = _end(evidence, case, [*(t.at for t in changes), *(c.arrived for c in calls), *(o.on for o in mine)])
    states = ["closed", *(change.after for change in changes)]
    levels = [float(STATES.index(state)) for state in states]
    outcomes = sorted({call.outcome for call in calls}, key=lambda word: (word != "ok", word))
    return Timeline(
        name=f"breaker_timeline_{case}_{provider}",
        title=f"Circuit breaker of {provider}, case {case}",
        x_label="Time from the beginning of the case [s]",
        caption=f"State of the breaker, faults (shaded) and calls that arrived at the provider, n = {len(calls)}; "
        f"outages: {len(mine)}.",
        spans=tuple((at(o.on), at(o.lifted) if o.lifted is not None else at(end)) for o in mine),
        span_name="fault on",
        levels=("off",) if off else tuple(state.replace("_", " ") for state in STATES),
        states=Series(
            "state of the breaker",
            (min([0.0, *(at(change.at) for change in changes)]), *(at(change.at) for change in changes), at(end)),
            (*levels, levels[-1]),
        ),
        ticks=tuple(
            Series(f"call: {word}", tuple(at(call.arrived) for call in calls if call.outcome == word), ())
            for word in outcomes
        ),
    )


def _end(evidence: Evidence, case: str, instants: list[float]) -> float:
    """The recorded end of a case, or the last that is known of one that was cut off."""
    found = evidence.scenario(SCENARIO)
    ended = next((c.ended for c in found.cases if c.name == case), None) if found else None
    jobs = [job.done for job in evidence.case_jobs(SCENARIO, case)]
    return max([*instants, *jobs]) if ended is None else max([ended, *instants])


def _at(records: Evidence, case: str, instant: float) -> float:
    start = records.beginning(SCENARIO, case)
    return instant - start if start is not None else instant


def _head(evidence: Evidence, outage: Outage) -> tuple[str, str, str]:
    return outage.case, outage.provider, text.seconds(_at(evidence, outage.case, outage.on))
