"""Error recovery: what retries save, what they cost, and whether faults hit as planned."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from reelbench.reporting.analysis import subjects
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.intervals import Interval, Proportion, exact_proportion, mean_difference, summarize

LONGEST_BLOCK = 100
"""Calls of a block of a fault schedule at most; a block has a whole number of hits where that allows it."""
PROVIDERS = {"llm": "LLM", "tts": "TTS", "image": "Image"}
ENDS = (
    Role.CALLS_SUCCESSFUL_WITHOUT_RETRY,
    Role.CALLS_SUCCESSFUL_WITH_RETRY,
    Role.CALLS_FAILED_WITHOUT_RETRY,
    Role.CALLS_FAILED_WITH_RETRY,
)
"""Indicators of the four ends of a call, in the order of the table."""


def recovered(evidence: Evidence) -> Proportion | None:
    """Return the calls that a retry saved, of those that failed at least once, where errors can be retried."""
    found = [share for place in subjects.retried_errors(evidence) if (share := recovered_at(evidence, *place))]
    return exact_proportion(sum(share.k for share in found), sum(share.n for share in found))


def recovered_at(evidence: Evidence, scenario: str, provider: str) -> Proportion | None:
    """Return the same for one provider of one scenario; exact interval."""
    saved = evidence.value(Role.CALLS_SUCCESSFUL_WITH_RETRY, scenario, member=provider)
    failed = evidence.value(Role.TRANSIENT_N, scenario, member=provider)
    return None if saved is None or failed is None else exact_proportion(round(saved), round(failed))


def section(evidence: Evidence) -> Section | None:
    """Return recovery rate, retries by provider, added latency and observed fault rates."""
    places = subjects.retried_errors(evidence)
    if not places and evidence.foreign:  # nothing is known of the calls of another maker's server
        rates = _rates(evidence)
        return Section("Injected faults", (rates,)) if rates else None
    blocks: list[Block] = []
    if not places:
        blocks.append(Paragraph("No provider of this run answered a share of the calls with errors to retry."))
    elif found := recovered(evidence):
        where = ", ".join(f"{PROVIDERS[provider]} in `{scenario}`" for scenario, provider in places)
        sentence = (
            f"Recovery rate of transient failures: {text.quoted(found)} ({where}). It is the share of calls that a "
            "retry saved, of all calls that failed at least once: saved by retry / (saved by retry + failed after "
            "retries + failed without retry)."
        )
        blocks.append(Bullets((sentence, *(cost for place in places for cost in _cost(evidence, *place)))))
    else:
        blocks.append(Paragraph("The recovery rate has no data: the service's telemetry has no call that failed."))
    latency = [_latency(evidence, scenario) for scenario in dict.fromkeys(scenario for scenario, _ in places)]
    blocks += [table for table in (_calls(evidence), *latency, _rates(evidence)) if table]
    return Section("Error recovery", tuple(blocks))


def _cost(evidence: Evidence, scenario: str, provider: str) -> list[str]:
    amplification = evidence.value(Role.RETRY_AMPLIFICATION, scenario, member=provider)
    backoff = evidence.value(Role.RETRY_BACKOFF, scenario, member=provider)
    calls = evidence.value(Role.RETRY_CALLS, scenario, member=provider)
    if amplification is None or not calls:
        return []
    wait = f" Waits between attempts: {text.with_unit(backoff / calls, 's')} per call." if backoff is not None else ""
    place = place_name(scenario, member=PROVIDERS[provider])
    return [
        f"Retry amplification, {place}: **{amplification:.2f} attempts per call** (n = {round(calls):,} calls).{wait}"
    ]


def _calls(evidence: Evidence) -> Table | None:
    rows = []
    for scenario in evidence.scenarios(Dimension.RELIABILITY):
        for provider, name in PROVIDERS.items():
            calls = evidence.value(Role.RETRY_CALLS, scenario.name, member=provider)
            if not calls:
                continue
            rows.append(
                (
                    place_name(scenario.name, member=name),
                    text.count(calls),
                    *(text.count(evidence.value(end, scenario.name, member=provider)) for end in ENDS),
                    text.count(evidence.value(Role.RETRY_ATTEMPTS, scenario.name, member=provider)),
                    # Attempts of cancelled calls have no ended call to be divided by.
                    text.NONE
                    if "cancel" in scenario.steps
                    else text.number(evidence.value(Role.RETRY_AMPLIFICATION, scenario.name, member=provider), 3),
                    text.number(evidence.value(Role.RETRY_BACKOFF, scenario.name, member=provider), 3),
                    text.rate(recovered_at(evidence, scenario.name, provider)),
                )
            )
    columns = (
        "Scenario / provider", "Calls", "OK at once", "OK by retry", "Failed, no retry", "Failed after retries",
        "Attempts", "Attempts/call", "Backoff [s]", "Recovery % (95 % CI)",
    )  # fmt: skip
    caption = (
        "PromQL, without warm-up. Calls are the sum of their four ends; attempts include those of cancelled calls and "
        "those rejected by an open breaker. Failed, no retry: permanent errors (not retryable), which count as not "
        "recovered, or retries are off."
    )
    return Table(columns, tuple(rows), columns[1:], caption) if rows else None


def _latency(evidence: Evidence, scenario: str) -> Table | None:
    base = subjects.normal_operation(evidence)
    if base is None:
        return None
    times = {name: evidence.scenario_times(name) for name in (base.name, scenario)}
    normal, faulty = (summarize(values) for values in times.values())
    if normal is None or faulty is None:
        return None
    rows = [
        (
            name,
            text.count(found.n),
            text.seconds(found.average),
            _cases(evidence, Role.RESPONSE_TIME_AVG, name, lambda m: text.seconds(m.value if m else None)),
            text.seconds(found.p50.value),
            text.tail(found.p95),
            _cases(evidence, Role.RESPONSE_TIME_P95, name, text.quantile),
        )
        for name, found in ((base.name, normal), (scenario, faulty))
    ]
    limits = mean_difference(times[scenario], times[base.name])
    rows.append(
        (
            "difference",
            text.NONE,
            f"{faulty.average - normal.average:+.3f}{_limits(limits)}",
            text.NONE,
            f"{faulty.p50.value - normal.p50.value:+.3f}",
            f"{faulty.p95.value - normal.p95.value:+.3f}",
            text.NONE,
        )
    )
    columns = ("Response time [s]", "n", "Avg", "Avg PromQL", "P50", "P95", "P95 PromQL")
    caption = (
        "Latency added by retries: completed jobs, exact values from the client's records and PromQL (one value per "
        r"case). 95 % CI of the difference of the averages by Welch's t. \* n is too small for an upper limit of the "
        "95 % interval."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _cases(evidence: Evidence, role: Role, scenario: str, write: Callable[[Measurement | None], str]) -> str:
    found = evidence.scenario(scenario)
    asked = [evidence.measured(role, scenario, case.name) for case in found.cases] if found else []
    return ", ".join(write(measured) for measured in asked) or text.NONE


def _limits(limits: Interval) -> str:
    if limits.lower is None or limits.upper is None:
        return ""
    return f" ({limits.lower:+.3f} to {limits.upper:+.3f})"


def _as_planned(rate: float, observed: Proportion) -> bool:
    """Return whether the hits differ from the planned share by no more than the hits of one block."""
    exact = Fraction(str(rate))
    size = min(exact.denominator, LONGEST_BLOCK)
    return abs(observed.k - rate * observed.n) <= math.ceil(rate * size)


def _rates(evidence: Evidence) -> Table | None:
    rows = []
    for fault in evidence.faults(*subjects.names(evidence.scenarios(Dimension.RELIABILITY))):
        if fault.outside:
            continue
        observed = None if fault.seen is None or fault.hit is None else exact_proportion(fault.hit, fault.seen)
        rows.append(
            (
                place_name(fault.scenario, fault.case),
                fault.target,
                fault.kind,
                text.percent(fault.rate),
                text.fraction(observed),
                text.percent(observed.value if observed else None),
                text.NONE if observed is None else "yes" if _as_planned(fault.rate, observed) else "**no**",
            )
        )
    columns = ("Scenario / case", "Target", "Fault", "Planned %", "Hit", "Observed %", "As planned")
    caption = (
        "Injected faults, counted at the injecting side. The plan fixes the share, so it has no interval: schedules "
        "are exact in blocks, and only the last, incomplete block can make the observed share differ from the planned "
        "one."
    )
    return Table(columns, tuple(rows), columns[3:6], caption) if rows else None
