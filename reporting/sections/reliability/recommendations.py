"""Recommendations on reliability."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_fates import cancellations, fates
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Section
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.recommendations import Advice, Rule, recommend
from reelbench.reporting.sections.reliability import breaker
from reelbench.reporting.sections.reliability.outcomes import cancellation_times, handled, leftovers
from reelbench.reporting.sections.reliability.retries import PROVIDERS, recovered
from reelbench.reporting.statistics.intervals import summarize

MIN_RECOVERY = 0.9
"""Below, more attempts pay: a fourth attempt at 30 % failures brings 97.3 to 99.2 %."""
MAX_AMPLIFICATION = 2.0
"""Attempts per call; above, retries double the load of a provider in trouble."""
MAX_ADDED = 0.5
"""Added share of the average response time."""
MAX_DETECTION_SHARE = 0.5
"""Of an outage's length; above, most of it passes before the breaker opens."""
MAX_WAIT_SHARE = 0.5
"""Of the time from lifting to closed that passes before the probe."""
MIN_HANDLED = 0.9
"""Share of jobs with a video under partial failures."""
MAX_CANCELLATION = 1.0
"""Seconds, P95 at the client."""


def _losses(evidence: Evidence) -> Iterator[Advice]:
    found = losses(evidence, *subjects.names(evidence.scenarios(Dimension.RELIABILITY)))
    if found.lost:
        yield Advice(
            f"{found.lost:,} of {found.expected:,} accepted jobs were lost",
            "store a job durably before answering that it is accepted",
        )
    if found.duplicated:
        yield Advice(f"{found.duplicated:,} ids belong to two jobs", "make ids unique across replicas and restarts")
    if found.corrupt:
        yield Advice(
            f"{found.corrupt:,} of {found.compared:,} compared jobs do not match their manifest",
            "write each file under a temporary name and rename it; write the manifest last",
        )
    if found.broken:
        yield Advice(
            f"{found.broken:,} of {found.decoded:,} opened files are broken or empty",
            "report a job completed only after its file is whole, and failed where the encoder failed",
        )
    if found.unended:
        yield Advice(
            f"{found.unended:,} of {found.accepted:,} jobs did not end within the time limit",
            "raise the limit (`--time-limit`) where the server is only slow; else set a time limit for every stage, so "
            "that a job fails instead of hanging"
            if evidence.foreign
            else "set a time limit for every stage, so that a job fails instead of hanging",
        )


def _throttled(evidence: Evidence) -> Iterator[Advice]:
    found = fates(evidence, *subjects.names(evidence.scenarios(Dimension.RELIABILITY)))
    if found.throttled:
        yield Advice(
            f"{found.throttled:,} requests were throttled",
            "the waits count in the response times; send fewer jobs at a time or poll less often (`--poll-interval`), "
            "or ask for a higher limit",
        )


def _audit(evidence: Evidence) -> Iterator[Advice]:
    for scenario in evidence.scenarios(Dimension.RELIABILITY):
        audit = scenario.audit
        if audit is None or audit.error is not None:
            continue
        counts = {
            "live jobs": audit.live,
            "unsaved states": audit.unsaved,
            "orphaned folders": audit.orphans,
            "records without files": audit.missing,
        }
        if left := [f"{number:,} {what}" for what, number in counts.items() if number]:
            yield Advice(
                f"The audit after {scenario.name} is not clean", f"{', '.join(left)}; clean up where a job ends"
            )


def _passed(evidence: Evidence) -> Iterator[Advice]:
    if not evidence.switched_off("breaker") and (passed := len(breaker.calls_while_open(evidence).passed)):
        yield Advice(f"{passed:,} calls passed an open breaker", "check the breaker before every attempt, also retries")


def _outages(evidence: Evidence) -> Iterator[Advice]:
    if evidence.switched_off("breaker") or not breaker.breakers_read(evidence):
        return
    found = breaker.provider_outages(evidence)
    if unrecovered := sum(1 for outage in found if outage.opened is not None and outage.closed is None):
        yield Advice(
            f"{unrecovered} of {len(found)} outages were not recovered from within the case",
            "shorten the open time, or lengthen the case to see the recovery",
        )
    if unopened := sum(1 for outage in found if outage.opened is None):
        yield Advice(f"The breaker did not open in {unopened} of {len(found)} outages", "lower its failure threshold")


def _detection(evidence: Evidence) -> Iterator[Advice]:
    slow = [
        o.detection / (o.lifted - o.on)
        for o in breaker.provider_outages(evidence)
        if o.detection is not None and o.lifted is not None and o.lifted > o.on
    ]
    if slow and (share := sum(slow) / len(slow)) > MAX_DETECTION_SHARE:
        yield Advice(
            f"Detection takes {share * 100:.0f} % of an outage",
            "lower the failure threshold or the time limit of an attempt, so that the breaker opens sooner",
        )


def _waiting(evidence: Evidence) -> Iterator[Advice]:
    waits = [
        (o.open_after_lifting, o.after_lifting)
        for o in breaker.provider_outages(evidence)
        if o.open_after_lifting is not None and o.after_lifting is not None and o.after_lifting > 0
    ]
    wait, whole = (sum(values) / len(waits) for values in zip(*waits, strict=True)) if waits else (0.0, 1.0)
    if wait / whole > MAX_WAIT_SHARE:
        yield Advice(
            f"{wait:.3f} s of the {whole:.3f} s from lifting to closed are spent waiting for the probe",
            "shorten the open time for a faster recovery; more probes then hit a provider that is still down",
        )


def _recovery(evidence: Evidence) -> Iterator[Advice]:
    found = recovered(evidence)
    if found and (evidence.run.switches or {}).get("retries") is False:
        yield Advice(
            "Retries are off", f"all {found.n:,} provider calls that failed once stayed failed; turn retries on"
        )
    elif found and found.value < MIN_RECOVERY:
        yield Advice(
            f"Retries recover {found.value * 100:.1f} % of the provider calls that failed once",
            f"{text.fraction(found)}; allow one more attempt, or a longer wait before it",
        )


def _amplification(evidence: Evidence) -> Iterator[Advice]:
    for scenario, provider in subjects.retried_errors(evidence):
        value = evidence.value(Role.RETRY_AMPLIFICATION, scenario, member=provider)
        if value is not None and value > MAX_AMPLIFICATION:
            yield Advice(
                f"{value:.2f} attempts per call in {place_name(scenario, member=PROVIDERS[provider])}",
                "set a retry budget, or retries overload a provider in trouble",
            )


def _added(evidence: Evidence) -> Iterator[Advice]:
    base = subjects.normal_operation(evidence)
    normal = summarize(evidence.scenario_times(base.name)) if base else None
    for scenario in dict.fromkeys(scenario for scenario, _ in subjects.retried_errors(evidence)):
        faulty = summarize(evidence.scenario_times(scenario))
        if normal and faulty and (added := faulty.average / normal.average - 1) > MAX_ADDED:
            yield Advice(
                f"Retries add {added * 100:.0f} % to the average response time of {scenario}",
                f"{normal.average:.3f} to {faulty.average:.3f} s; shorten the first wait, or retry at another provider",
            )


def _partial(evidence: Evidence) -> Iterator[Advice]:
    found = handled(evidence)
    if found and found.value < MIN_HANDLED:
        yield Advice(
            f"Only {found.value * 100:.1f} % of the jobs had a video under partial failures",
            f"{text.fraction(found)}; replace a refused picture by a plain one instead of failing the job",
        )


def _cancellation(evidence: Evidence) -> Iterator[Advice]:
    if (left := leftovers(evidence)) and left.k and not evidence.foreign:
        yield Advice(
            f"{text.fraction(left)} cancelled jobs were still shown afterwards",
            "remove the record before answering the cancellation",
        )
    tried = cancellations(evidence, *subjects.names(subjects.cancellations(evidence)))
    if tried.refused:
        yield Advice(
            f"{len(tried.refused):,} of {len(tried.asked):,} jobs could not be cancelled",
            "a client that gives up then pays for work that it does not want; let a running job be stopped",
        )
    times = cancellation_times(evidence)
    if times and times.p95.value > MAX_CANCELLATION:
        yield Advice(
            f"A cancellation takes {times.p95.value:.3f} s (P95)", "cancel calls in flight instead of waiting for them"
        )


def rules(evidence: Evidence) -> tuple[Rule[Evidence], ...]:
    """Return the rules for a run; those on providers, breaker and retries only for the service of this project."""
    return COMMON if evidence.foreign else (*COMMON, *OWN)


def recommendations(evidence: Evidence) -> Section:
    """Return the advice on a run."""
    return recommend(rules(evidence), evidence)


CANCELLING = f"a leftover or refused cancellation, or cancellation P95 > {MAX_CANCELLATION:g} s"
COMMON = (
    Rule("a lost, duplicated, corrupt, broken or unended job", _losses),
    Rule("a throttled request", _throttled),
    Rule(CANCELLING, _cancellation),
)
OWN = (
    Rule("an audit that is not clean", _audit),
    Rule("a call through an open breaker", _passed),
    Rule("an outage without opening or recovery", _outages),
    Rule(f"detection > {MAX_DETECTION_SHARE * 100:g} % of an outage", _detection),
    Rule(f"waiting > {MAX_WAIT_SHARE * 100:g} % of the time from lifting to closed", _waiting),
    Rule(f"recovery < {MIN_RECOVERY * 100:g} %", _recovery),
    Rule(f"> {MAX_AMPLIFICATION:g} attempts per call", _amplification),
    Rule(f"> {MAX_ADDED * 100:g} % added response time", _added),
    Rule(f"< {MIN_HANDLED * 100:g} % of jobs with a video under partial failures", _partial),
)
