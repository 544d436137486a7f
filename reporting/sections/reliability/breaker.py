"""The circuit breaker: whether it opens, what it lets through, and how long recovery takes."""

from __future__ import annotations

from collections import Counter

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.open_breaker_calls import OpenBreakerCalls, open_breaker_calls
from reelbench.reporting.analysis.outages import Outage, Recovery, calls_during, outages, recovery, transitions
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Series, Table, Timeline
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import summarize

STATES = ("closed", "half_open", "open")


def section(evidence: Evidence) -> Section | None:
    """Return time line, transitions, calls while open, fast failures and times to recover."""
    title = "Circuit breaker"
    found = provider_outages(evidence)
    if not found and evidence.foreign:
        return None
    if not found:
        return Section(title, (Paragraph("No provider was away in a case of this run."),))
    charts = _charts(evidence, found)
    if evidence.switched_off("breaker"):
        return Section(title, (*_without(evidence, found), *charts))
    crossed = calls_while_open(evidence)
    return Section(
        title,
        (
            Bullets((*_opening(evidence, found), *_holding(evidence, crossed), _fast(evidence, crossed))),
            *charts,
            _transitions(evidence),
            _passed(evidence, crossed),
            *_recovery(found),
        ),
    )


def scenarios(evidence: Evidence) -> list[str]:
    """Return the scenarios in which a provider was away."""
    return subjects.names(subjects.provider_outages(evidence))


def provider_outages(evidence: Evidence) -> tuple[Outage, ...]:
    """Return the outages of providers in all scenarios, in order of time."""
    names = scenarios(evidence)
    return outages(evidence, *names) if names else ()


def calls_while_open(evidence: Evidence) -> OpenBreakerCalls:
    """Return the calls that arrived while a breaker was open, of all scenarios with an outage."""
    return open_breaker_calls(evidence, *scenarios(evidence))


def rejected(evidence: Evidence, crossed: OpenBreakerCalls) -> int | None:
    """Return the attempts that open breakers rejected; None when telemetry does not know all of them."""
    places = dict.fromkeys((interval.scenario, interval.provider) for interval in crossed.intervals)
    counts = [evidence.value(Role.NOT_PERMITTED, scenario, member=provider) for scenario, provider in places]
    known = [round(count) for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def counted(evidence: Evidence) -> bool:
    """Return True when a provider's log of calls is there for a scenario with an outage."""
    names = set(scenarios(evidence))
    return any(call.scenario in names for call in evidence.calls)


def breakers_read(evidence: Evidence) -> bool:
    """Return False when the changes of the breakers are not known in a scenario with an outage."""
    return all(evidence.breakers_read(name) for name in scenarios(evidence))


def mean_time(found: Recovery) -> str:
    """Return the mean time to recovery with its interval."""
    limits = found.interval
    interval = (
        f"95 % CI {max(limits.lower, 0):.3f} to {limits.upper:.3f} s"
        if limits.lower is not None and limits.upper is not None
        else "one outage gives no interval"
    )
    censored = f"; not included: {found.censored} not recovered within the case" if found.censored else ""
    return f"**{found.mean:.3f} s** ({interval}, n = {text.counted(found.n, 'outage')}{censored})"


def _opening(evidence: Evidence, found: tuple[Outage, ...]) -> list[str]:
    if not breakers_read(evidence):
        return ["The service's breakers could not be read (needs SERVICE_ADMIN=true): their state is not known."]
    opened = sum(1 for outage in found if outage.opened is not None)
    closed = sum(1 for outage in found if outage.recovery is not None)
    names = scenarios(evidence)
    elsewhere = Counter(
        (t.scenario, t.provider) for t in evidence.run.transitions if t.after == "open" and t.scenario not in names
    )
    return [
        f"The breaker opened in **{opened} of {len(found)}** outages and closed again in {closed} within the case.",
        *(
            f"The breaker of {provider} also opened {text.counted(number, 'time')} in `{scenario}`: attempts rejected "
            "there count as failed."
            for (scenario, provider), number in sorted(elsewhere.items())
        ),
    ]


def _holding(evidence: Evidence, crossed: OpenBreakerCalls) -> list[str]:
    if not counted(evidence):
        return ["The provider's log of calls is missing: calls during open intervals are not counted."]
    return [
        (
            f"**{len(crossed.passed)} calls passed while the breaker was open**, of {crossed.counted:,} calls counted "
            f"at the provider ({text.counted(len(crossed.intervals), 'open interval')}). {len(crossed.in_flight)} more "
            "arrived in an open interval but were sent before it opened: in flight, so no violation."
        ),
        f"Attempts rejected by an open breaker: {text.count(rejected(evidence, crossed))} (PromQL).",
    ]


def _fast(evidence: Evidence, crossed: OpenBreakerCalls) -> str:
    failed = [
        job.done - job.sent
        for name in scenarios(evidence)
        for job in evidence.scenario_jobs(name)
        if job.outcome is Outcome.FAILED
        and any((i.scenario, i.case) == (name, job.case) and i.opened <= job.sent < i.until for i in crossed.intervals)
    ]
    times = summarize(failed)
    if times is None:
        return "Fast failure: no job sent while a breaker was open failed."
    return (
        f"Fast failure: jobs sent while a breaker was open failed after {text.with_unit(times.average, 's')} on "
        f"average, {text.with_unit(times.maximum, 's')} at most (n = {times.n})."
    )


def _without(evidence: Evidence, found: tuple[Outage, ...]) -> list[Block]:
    rows = tuple(
        (
            place_name(outage.scenario, outage.case),
            outage.provider,
            text.seconds(_at(evidence, outage.scenario, outage.case, outage.on)),
            text.seconds(outage.lifted - outage.on if outage.lifted is not None else None),
            text.count(len(calls_during(evidence, outage))),
        )
        for outage in found
    )
    columns = ("Scenario / case", "Provider", "Fault on [s]", "Length [s]", "Provider calls during the outage")
    sentence = (
        "**The breaker was switched off**: this run is the baseline. Every attempt of a job reaches the provider "
        "during the outage, as the provider's count shows. Without an opening there is no MTTR."
    )
    return [Paragraph(sentence), Table(columns, rows, columns[2:], "Calls counted at the provider.")]


def _transitions(evidence: Evidence) -> Table:
    names = scenarios(evidence)
    rows = tuple(
        (
            place_name(t.scenario, t.case),
            t.provider,
            text.seconds(_at(evidence, t.scenario, t.case, t.at)),
            t.before,
            t.after,
            text.instant(t.at),
        )
        for t in sorted(evidence.run.transitions, key=lambda t: t.at)
        if t.scenario in names
    )
    columns = ("Scenario / case", "Provider", "At [s]", "From", "To", "UTC")
    caption = "Changes of state as the service recorded them, in seconds from the start of the case."
    return Table(columns, rows, ("At [s]",), caption)


def _passed(evidence: Evidence, crossed: OpenBreakerCalls) -> Table:
    rows, known = [], counted(evidence)
    for interval in crossed.intervals:
        length = interval.until - interval.opened
        passed = [call for call in crossed.passed if interval.holds(call)]
        flying = [call for call in crossed.in_flight if interval.holds(call)]
        latest = max((call.arrived - interval.opened for call in flying), default=None)
        rows.append(
            (
                place_name(interval.scenario, interval.case),
                interval.provider,
                text.seconds(length) if length != float("inf") else "to the end of the case",
                text.count(len(passed) if known else None),
                text.count(len(flying) if known else None),
                text.milliseconds(latest),
            )
        )
    columns = ("Scenario / case", "Provider", "Open for [s]", "Passed", "In flight", "Last in flight [ms]")
    caption = (
        "Arrivals at the provider in each open interval, counted at the provider. In flight: sent before the opening, "
        "by the caller's time stamp. Last in flight: time from the opening to the latest such arrival."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _recovery(found: tuple[Outage, ...]) -> list[Block]:
    rows = tuple(
        (
            place_name(outage.scenario, outage.case),
            outage.provider,
            text.seconds(outage.lifted - outage.on if outage.lifted is not None else None),
            text.seconds(outage.detection) if outage.opened is not None else "did not open",
            text.seconds(outage.open_after_lifting),
            text.seconds(outage.probe),
            text.seconds(outage.to_first_job),
            text.seconds(outage.after_lifting),
            text.seconds(outage.recovery)
            if outage.recovery is not None or outage.opened is None
            else "not within the case",
        )
        for outage in found
    )
    columns = (
        "Scenario / case", "Provider", "Fault length", "Detection", "Open after lifting", "Probe",
        "Closed to first job", "Lifting to closed", "Recovery",
    )  # fmt: skip
    caption = (
        "Seconds, every outage. Detection: fault on to opened. Open after lifting: lifted to the successful probe. "
        "Probe: half open to closed. First job: closed to the first completed job sent after the lifting. Recovery: "
        "fault on to closed. Lifting to closed excludes the length of the fault: before a probe the breaker waits up "
        "to its open time, a setting of the service."
    )
    table, figures = Table(columns, rows, columns[2:], caption), recovery(found)
    if figures is None:
        return [table, Paragraph("No MTTR: no outage opened the breaker and recovered within the case.")]
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
            f"{lifting.maximum:.3f} s (n = {lifting.n}). MTTR includes the length of the fault; compare "
            "services by this figure."
        )
    if figures.censored:
        items.append(f"Outages not recovered within the case: {figures.censored}. MTTR is therefore a lower limit.")
    return [table, Bullets(tuple(items))]


def _charts(evidence: Evidence, found: tuple[Outage, ...]) -> list[Timeline]:
    places = dict.fromkeys((outage.scenario, outage.case, outage.provider) for outage in found)
    several = len({scenario for scenario, _, _ in places}) > 1
    return [_chart(evidence, place, found, f"{place[0]}_" if several else "") for place in places]


def _chart(evidence: Evidence, place: tuple[str, str, str], found: tuple[Outage, ...], prefix: str) -> Timeline:
    scenario, case, provider = place

    def at(instant: float) -> float:
        return _at(evidence, scenario, case, instant)

    off = evidence.switched_off("breaker")
    changes = [] if off else transitions(evidence, *place)
    calls = [c for c in evidence.calls if (c.scenario, c.case, c.provider) == place]
    mine = [outage for outage in found if (outage.scenario, outage.case, outage.provider) == place]
    end = _end(evidence, scenario, case, [*(t.at for t in changes), *(c.arrived for c in calls), *(o.on for o in mine)])
    states = ["closed", *(change.after for change in changes)]
    levels = [float(STATES.index(state)) for state in states]
    outcomes = sorted({call.outcome for call in calls}, key=lambda word: (word != "ok", word))
    return Timeline(
        name=f"breaker_timeline_{prefix}{case}_{provider}",
        title=f"Circuit breaker of {provider}, {place_name(scenario, case)}",
        x_label="Time from the start of the case [s]",
        caption=f"State of the breaker, faults (shaded) and calls at the provider, n = {len(calls)}; outages: "
        f"{len(mine)}.",
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


def _end(evidence: Evidence, scenario: str, case: str, instants: list[float]) -> float:
    """Return the recorded end of a case, or the last known instant of one that was cut off."""
    found = evidence.scenario(scenario)
    ended = next((c.ended for c in found.cases if c.name == case), None) if found else None
    jobs = [job.done for job in evidence.case_jobs(scenario, case)]
    return max([*instants, *jobs]) if ended is None else max([ended, *instants])


def _at(evidence: Evidence, scenario: str, case: str, instant: float) -> float:
    start = evidence.beginning(scenario, case)
    return instant - start if start is not None else instant
