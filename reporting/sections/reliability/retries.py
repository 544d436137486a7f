"""Error recovery: what retries save, what they cost, and whether the failures were those that were planned."""

from __future__ import annotations

from collections.abc import Callable

from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.sections.reliability.success import DIMENSION, NORMAL
from reelbench.reporting.statistics.intervals import Interval, Proportion, mean_difference, proportion, summarize

SCENARIO = "tts_failures"
PROVIDER = "tts"
PROVIDERS = {"llm": "LLM", "tts": "TTS", "image": "Image"}
KINDS = (
    "calls_successful_without_retry",
    "calls_successful_with_retry",
    "calls_failed_without_retry",
    "calls_failed_with_retry",
)
"""Indicators of the four ends of a call, in the order of the table."""


def recovered(evidence: Evidence, scenario: str, provider: str) -> Proportion | None:
    """Calls that a retry brought to success, of those that failed at least once; Wilson interval."""
    saved = evidence.value("calls_successful_with_retry", scenario, member=provider)
    failed = evidence.value("transient_n", scenario, member=provider)
    return None if saved is None or failed is None else proportion(round(saved), round(failed))


def section(evidence: Evidence) -> Section:
    """Recovery rate, retries by provider, added latency, observed fault rates."""
    blocks: list[Block] = []
    if evidence.scenario(SCENARIO) is None:
        blocks += not_run(SCENARIO)
    elif found := recovered(evidence, SCENARIO, PROVIDER):
        sentence = (
            f"Recovery rate of transient failures: {text.quoted(found)}. It is the share of calls brought to success "
            "by a retry in all calls that failed at least once: with retry / (with retry + failed with retry + failed "
            f"without retry), for {PROVIDERS[PROVIDER]} in `{SCENARIO}`."
        )
        blocks.append(Bullets((sentence, *_cost(evidence))))
    else:
        blocks.append(Bullets(("The recovery rate has no data: the service's telemetry shows no call that failed.",)))
    blocks += [table for table in (_calls(evidence), _latency(evidence), _rates(evidence)) if table]
    return Section("Error recovery", tuple(blocks))


def _cost(evidence: Evidence) -> list[str]:
    amplification = evidence.value("retry_amplification", SCENARIO, member=PROVIDER)
    backoff = evidence.value("retry_backoff", SCENARIO, member=PROVIDER)
    calls = evidence.value("retry_calls", SCENARIO, member=PROVIDER)
    if amplification is None or not calls:
        return []
    wait = f" Waits between attempts: {text.with_unit(backoff / calls, 's')} per call." if backoff is not None else ""
    return [f"Retry amplification: **{amplification:.2f} attempts per call** (n = {round(calls):,} calls).{wait}"]


def _calls(evidence: Evidence) -> Table | None:
    rows = []
    for scenario in evidence.scenarios(DIMENSION):
        for provider, name in PROVIDERS.items():
            calls = evidence.value("retry_calls", scenario.name, member=provider)
            if not calls:
                continue
            rows.append(
                (
                    place_name(scenario.name, member=name),
                    text.count(calls),
                    *(text.count(evidence.value(kind, scenario.name, member=provider)) for kind in KINDS),
                    text.count(evidence.value("retry_attempts", scenario.name, member=provider)),
                    # Attempts of cancelled calls have no call among those that ended to be divided by.
                    text.NONE
                    if "cancel" in scenario.steps
                    else text.number(evidence.value("retry_amplification", scenario.name, member=provider), 3),
                    text.number(evidence.value("retry_backoff", scenario.name, member=provider), 3),
                    text.rate(recovered(evidence, scenario.name, provider)),
                )
            )
    columns = (
        "Scenario / provider", "Calls", "OK at once", "OK by retry", "Failed, no retry", "Failed after retries",
        "Attempts", "Attempts/call", "Backoff [s]", "Recovery % (95 % CI)",
    )  # fmt: skip
    caption = (
        "PromQL, warm-up left out. The four ends of a call sum up to the calls; attempts also hold those of cancelled "
        "calls and those that an open breaker rejected. Failed without a retry: refused for good, or "
        "retries are off; no retry can recover a refusal for good, and it counts as not recovered."
    )
    return Table(columns, tuple(rows), columns[1:], caption) if rows else None


def _latency(evidence: Evidence) -> Table | None:
    times = {name: evidence.scenario_times(name) for name in (NORMAL, SCENARIO)}
    normal, faulty = (summarize(times[name]) for name in (NORMAL, SCENARIO))
    if normal is None or faulty is None:
        return None
    rows = [
        (
            name,
            text.count(found.n),
            text.seconds(found.average),
            _cases(evidence, "response_time_avg", name, lambda m: text.seconds(m.value if m else None)),
            text.seconds(found.p50.value),
            text.tail(found.p95),
            _cases(evidence, "response_time_p95", name, text.quantile),
        )
        for name, found in ((NORMAL, normal), (SCENARIO, faulty))
    ]
    limits = mean_difference(times[SCENARIO], times[NORMAL])
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
        "Added latency of retries: completed jobs, exact values from the client's records beside PromQL (one value for "
        r"each case). 95 % CI of the difference of the averages by Welch's t. \* n is too small for an upper limit of "
        "the 95 % interval."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _cases(evidence: Evidence, sli: str, scenario: str, write: Callable[[Measurement | None], str]) -> str:
    found = evidence.scenario(scenario)
    asked = [evidence.measured(sli, scenario, case.name) for case in found.cases] if found else []
    return ", ".join(write(measured) for measured in asked) or text.NONE


def _limits(limits: Interval) -> str:
    if limits.lower is None or limits.upper is None:
        return ""
    return f" ({limits.lower:+.3f} to {limits.upper:+.3f})"


def _rates(evidence: Evidence) -> Table | None:
    rows = []
    for fault in evidence.faults(*(scenario.name for scenario in evidence.scenarios(DIMENSION))):
        observed = None if fault.seen is None or fault.hit is None else proportion(fault.hit, fault.seen)
        rows.append(
            (
                place_name(fault.scenario, fault.case),
                fault.target,
                fault.kind,
                text.percent(fault.rate),
                text.fraction(observed),
                text.rate(observed),
                text.NONE
                if observed is None
                else ("yes" if observed.lower <= fault.rate <= observed.upper else "**no**"),
            )
        )
    columns = ("Scenario / case", "Target", "Fault", "Planned %", "Hit", "Observed % (95 % CI)", "Planned within CI")
    caption = (
        "Injected faults, counted where they were injected (Wilson interval). Schedules are exact in blocks, so the "
        "observed rate differs from the planned one only by the last, incomplete block."
    )
    return Table(columns, tuple(rows), ("Planned %", "Hit", "Observed % (95 % CI)"), caption) if rows else None
