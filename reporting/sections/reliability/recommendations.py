"""Advice on reliability: a threshold that was crossed, with the number that crossed it."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.open_breaker_calls import open_breaker_calls
from reelbench.reporting.analysis.outages import outages
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.reliability.breaker import SCENARIO as OUTAGE
from reelbench.reporting.sections.reliability.cancellation import SCENARIO as CANCELLATION
from reelbench.reporting.sections.reliability.cancellation import leftovers
from reelbench.reporting.sections.reliability.partial_failures import handled
from reelbench.reporting.sections.reliability.retries import PROVIDER, SCENARIO, recovered
from reelbench.reporting.sections.reliability.success import DIMENSION, NORMAL
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
"""Seconds, P95 on the client's side."""


def section(evidence: Evidence) -> Section:
    """All advice that the numbers support."""
    advice = tuple(
        sentence
        for part in (_losses, _audit, _breaker, _retries, _partials, _cancellation)
        for sentence in part(evidence)
    )
    thresholds = (
        f"Thresholds: recovery {MIN_RECOVERY * 100:g} %, {MAX_AMPLIFICATION:g} attempts per call, "
        f"{MAX_ADDED * 100:g} % added response time, detection {MAX_DETECTION_SHARE * 100:g} % of an outage, waiting "
        f"{MAX_WAIT_SHARE * 100:g} % of the time from lifting to closed, {MIN_HANDLED * 100:g} % of jobs with a video "
        f"under partial failures, cancellation P95 {MAX_CANCELLATION:g} s; any loss, corrupt file, duplicate, stuck "
        "job, leftover, call through an open breaker or unclean audit."
    )
    text = "" if advice else "No threshold was crossed by the scenarios that ran. "
    blocks: list[Block] = [Bullets(advice)] if advice else []
    return Section("Recommendations", (*blocks, Paragraph(text + thresholds)))


def _losses(evidence: Evidence) -> Iterator[str]:
    found = losses(evidence, *(scenario.name for scenario in evidence.scenarios(DIMENSION)))
    if found.lost:
        yield (
            f"**{found.lost:,} of {found.expected:,} accepted jobs were lost:** write a job's state where it survives "
            "before its acceptance is answered."
        )
    if found.duplicated:
        yield f"**{found.duplicated:,} ids belong to two jobs:** make ids unique across replicas and restarts."
    if found.corrupt:
        yield (
            f"**{found.corrupt:,} of {found.checked:,} checked jobs are not what their manifest says:** write files "
            "aside and rename them, and the manifest last."
        )
    if found.stuck:
        yield (
            f"**{found.stuck:,} of {found.accepted:,} jobs did not end within the time limit:** put a limit on every "
            "stage, so that a job fails instead of hanging."
        )


def _audit(evidence: Evidence) -> Iterator[str]:
    for scenario in evidence.scenarios(DIMENSION):
        audit = scenario.audit
        if audit is None or audit.error is not None:
            continue
        counts = {
            "live jobs": audit.live,
            "unsaved states": audit.unsaved,
            "orphaned folders": audit.orphans,
            "records without files": audit.missing,
        }
        left = [f"{number:,} {what}" for what, number in counts.items() if number]
        if left:
            yield f"**The audit after {scenario.name} is not clean:** {', '.join(left)}; clean up where a job ends."


def _breaker(evidence: Evidence) -> Iterator[str]:
    if evidence.scenario(OUTAGE) is None or evidence.switched_off("breaker") or not evidence.breakers_read(OUTAGE):
        return
    passed = len(open_breaker_calls(evidence, OUTAGE).passed)
    if passed:
        yield f"**{passed:,} calls passed an open breaker:** every attempt, retries too, must ask the breaker first."
    found = outages(evidence, OUTAGE)
    closed_never = sum(1 for outage in found if outage.opened is not None and outage.closed is None)
    if closed_never:
        yield (
            f"**{closed_never} of {len(found)} outages were not recovered from within the case:** shorten the open "
            "time, or lengthen the case to see the recovery."
        )
    unopened = sum(1 for outage in found if outage.opened is None)
    if unopened:
        yield f"**The breaker did not open in {unopened} of {len(found)} outages:** lower its failure threshold."
    slow = [
        o.detection / (o.lifted - o.on)
        for o in found
        if o.detection is not None and o.lifted is not None and o.lifted > o.on
    ]
    if slow and (share := sum(slow) / len(slow)) > MAX_DETECTION_SHARE:
        yield (
            f"**Detection takes {share * 100:.0f} % of an outage:** lower the failure threshold or the time limit of "
            "an attempt, so that the breaker opens sooner."
        )
    waits = [
        (o.open_after_lifting, o.after_lifting)
        for o in found
        if o.open_after_lifting is not None and o.after_lifting is not None and o.after_lifting > 0
    ]
    if waits:
        wait, whole = (sum(values) / len(waits) for values in zip(*waits, strict=True))
        if wait / whole > MAX_WAIT_SHARE:
            yield (
                f"**{wait:.3f} s of the {whole:.3f} s from lifting to closed are waiting for the probe:** a shorter "
                "open time brings the provider back sooner, at the price of more probes into an outage."
            )


def _retries(evidence: Evidence) -> Iterator[str]:
    found = recovered(evidence, SCENARIO, PROVIDER)
    if found and (evidence.run.switches or {}).get("retries") is False:
        yield f"**Retries are off:** all {found.n:,} TTS calls that failed once failed for good; turn them on."
    elif found and found.value < MIN_RECOVERY:
        yield (
            f"**Retries recover {found.value * 100:.1f} % of the TTS calls that failed once** ({found.k:,} of "
            f"{found.n:,}): allow one attempt more, or a longer wait before it."
        )
    amplification = evidence.value("retry_amplification", SCENARIO, member=PROVIDER)
    if amplification is not None and amplification > MAX_AMPLIFICATION:
        yield (
            f"**{amplification:.2f} attempts per call:** put a budget on retries, or they add to the load of a "
            "provider in trouble."
        )
    normal, faulty = (summarize(evidence.scenario_times(name)) for name in (NORMAL, SCENARIO))
    if normal and faulty and (added := faulty.average / normal.average - 1) > MAX_ADDED:
        yield (
            f"**Retries add {added * 100:.0f} % to the average response time** ({normal.average:.3f} to "
            f"{faulty.average:.3f} s): shorten the first wait, or retry at another provider."
        )


def _partials(evidence: Evidence) -> Iterator[str]:
    found = handled(evidence)
    if found and found.value < MIN_HANDLED:
        yield (
            f"**Only {found.value * 100:.1f} % of the jobs had a video under partial failures** "
            f"({text.fraction(found)}): replace a refused picture by a plain one instead of giving up the job."
        )


def _cancellation(evidence: Evidence) -> Iterator[str]:
    left = leftovers(evidence)
    if left and left.k:
        yield (
            f"**{text.fraction(left)} cancelled jobs were still shown afterwards:** remove the record before "
            "answering the cancellation."
        )
    times = summarize(
        [j.done - j.cancel_sent for j in evidence.scenario_jobs(CANCELLATION) if j.cancel_sent is not None]
    )
    if times and times.p95.value > MAX_CANCELLATION:
        yield (
            f"**A cancellation takes {times.p95.value:.3f} s (P95):** cancel the calls in flight instead of "
            "waiting for them."
        )
