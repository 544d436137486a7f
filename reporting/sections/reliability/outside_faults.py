"""Faults from outside: commands of the user's and faults of the network, and what clients noticed of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from statistics import median

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import FaultRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.restoration import (
    Disturbance,
    MeanTime,
    Restoration,
    answered,
    mean_time,
    requests_of,
    restorations,
)
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, place_name
from reelbench.reporting.statistics.intervals import exact_proportion, summarize

TITLE = "Faults from outside"


def section(evidence: Evidence) -> Section | None:
    """Return times to restoration, the load before, during and after each fault, and the commands; None without any."""
    found = all_restorations(evidence)
    failed = _failed(evidence)
    if not found and not failed:
        return None
    blocks: list[Block] = [Bullets((*_summary(found), *_proxy(evidence), *_not_begun(failed)))]
    if found:
        blocks += [_times(evidence, found), _through(evidence, found)]
    if ran := [fault for fault in (*(one.fault for one in found), *failed) if fault.command]:
        blocks.append(_commands(ran))
    return Section(TITLE, tuple(blocks))


def all_restorations(evidence: Evidence) -> tuple[Restoration, ...]:
    """Return the faults from outside of all scenarios of reliability, in order of time."""
    names = subjects.names(subjects.outside_faults(evidence))
    return restorations(evidence, *names) if names else ()


def mean_time_sentence(found: MeanTime) -> str:
    """Return the mean time to restoration with its interval."""
    limits = found.interval
    interval = (
        f"95 % CI {max(limits.lower, 0):.3f} to {limits.upper:.3f} s"
        if limits.lower is not None and limits.upper is not None
        else "one fault gives no interval"
    )
    left_out = ", ".join(
        (
            *([f"{found.censored} not restored within the case"] if found.censored else []),
            *([f"{found.unnoticed} that did not interrupt the service"] if found.unnoticed else []),
        )
    )
    n = text.counted(found.n, "fault")
    return f"**{found.mean:.3f} s** ({interval}, n = {n}{f'; not included: {left_out}' if left_out else ''})"


def _summary(found: Sequence[Restoration]) -> list[str]:
    if not found:
        return []
    interrupted = sum(1 for one in found if one.noticed)
    times = mean_time(found)
    items = [f"{interrupted} of {text.counted(len(found), 'fault')} interrupted the service for its clients."]
    if times is not None:
        items.append(
            "MTTR = mean of (service restored - fault asked to begin), as clients saw it: "
            f"{mean_time_sentence(times)}; minimum {times.minimum:.3f} s, maximum {times.maximum:.3f} s."
        )
        if times.censored:
            items.append("As some faults were not followed by a restoration, the MTTR is a lower limit.")
    elif interrupted:
        items.append("No MTTR: the service was not restored within the case.")
    after = summarize([one.restored - one.off for one in found if one.restored is not None and one.restored > one.off])
    if after:
        items.append(
            f"From the end of the fault to the restoration: {after.average:.3f} s on average, {after.minimum:.3f} to "
            f"{after.maximum:.3f} s (n = {after.n}). MTTR includes the length of the fault; compare services by this "
            "figure."
        )
    return items


def _proxy(evidence: Evidence) -> list[str]:
    proxy = evidence.run.proxy
    if proxy is None:
        return []
    names = ", ".join(f"`{name}`" for name in proxy.scenarios)
    passed = f"All traffic of {names} passed Toxiproxy {proxy.version}"
    if not proxy.direct or not proxy.through:
        return [f"{passed}; what it adds to a request could not be measured."]
    direct, through = median(proxy.direct), median(proxy.through)
    return [
        (
            f"{passed}. A small request took {direct * 1000:.2f} ms without it and {through * 1000:.2f} ms through it "
            f"(medians of {len(proxy.direct)})."
        )
    ]


def _not_begun(failed: Sequence[FaultRecord]) -> list[str]:
    return [
        f"**No fault in {place_name(fault.scenario, fault.case)}**: {text.literal(fault.error or '')}. The case is not "
        "judged as one with this fault."
        for fault in failed
    ]


def _failed(evidence: Evidence) -> list[FaultRecord]:
    names = subjects.names(evidence.scenarios(Dimension.RELIABILITY))
    return [fault for fault in evidence.faults(*names) if fault.outside and fault.error is not None]


def _times(evidence: Evidence, found: Sequence[Restoration]) -> Table:
    rows = tuple(
        (
            place_name(one.fault.scenario, one.fault.case),
            text.literal(name(one.fault)),
            text.seconds(_at(evidence, one, one.on)),
            text.seconds(one.off - one.on) if one.fault.asked_to_end is not None else "ends by itself",
            _failures(one.answers),
            _failures(one.jobs),
            text.seconds(max((part.gap for part in (one.answers, one.jobs) if part is not None), default=None)),
            text.seconds(_since(one.first_answer, one.off)),
            text.seconds(_since(one.first_job, one.off)),
            _restored(one),
        )
        for one in found
    )
    columns = (
        "Scenario / case", "Fault", "On [s]", "Length", "Failed answers", "Failed jobs", "Longest gap",
        "To first answer", "To first job", "Restored",
    )  # fmt: skip
    caption = (
        "Seconds, every fault. On: from the start of the case until the fault was asked to begin. Failed: until the "
        "restoration; no answer and 5xx are failed answers. Longest gap: without a successful answer or without a "
        "completed job. To first answer, to first job: from the end of the fault to the first successful answer and to "
        "the first completed job that was sent after it. Restored: fault asked to begin to the first success after "
        "which neither answers nor jobs were disturbed: no failure (unless there were some before the first fault), "
        "and no gap longer than three times the longest one before the first fault and than half of the longest one "
        "after the fault began."
    )
    return Table(columns, rows, columns[2:], caption)


def _failures(part: Disturbance | None) -> str:
    return text.count(0 if part is None else part.failures)


def _restored(one: Restoration) -> str:
    if not one.noticed:
        return "not interrupted"
    return "not within the case" if one.seconds is None else text.seconds(one.seconds)


def _through(evidence: Evidence, found: Sequence[Restoration]) -> Table:
    rows = []
    for scenario, case in dict.fromkeys((one.fault.scenario, one.fault.case) for one in found):
        spans = [(one.on, one.over) for one in found if (one.fault.scenario, one.fault.case) == (scenario, case)]
        jobs = [job for job in evidence.case_jobs(scenario, case) if job.outcome not in STOPPED]
        requests = requests_of(evidence, scenario, case)
        for part in ("before", "during", "after"):
            mine = [job for job in jobs if _part(job.due, job.done, spans) == part]
            sent = [answered(r) for r in requests if _part(r.sent, r.sent + r.duration, spans) == part]
            times = summarize([job.done - job.due for job in mine if job.outcome is Outcome.COMPLETED])
            rows.append(
                (
                    place_name(scenario, case),
                    part,
                    text.count(len(sent)),
                    text.rate(exact_proportion(sent.count(False), len(sent))),
                    text.count(len(mine)),
                    text.rate(exact_proportion(_unsuccessful(mine), len(mine))),
                    text.seconds(times.p50.value if times else None),
                    text.seconds(times.p95.value if times else None),
                    text.seconds(times.maximum if times else None),
                )
            )
    columns = (
        "Scenario / case", "Part", "Requests", "Failed % (95 % CI)", "Jobs", "Jobs failed % (95 % CI)", "P50 [s]",
        "P95 [s]", "Max [s]",
    )  # fmt: skip
    caption = (
        "Before: ended before the first fault. During: overlaps a fault or the time until its restoration. After: the "
        "rest, between and after the faults. Response times of completed jobs; exact intervals."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _part(begun: float, ended: float, spans: Sequence[tuple[float, float]]) -> str:
    if any(begun <= over and ended >= on for on, over in spans):
        return "during"
    return "before" if ended < spans[0][0] else "after"


def _unsuccessful(jobs: Sequence[JobRecord]) -> int:
    return sum(1 for job in jobs if job.outcome is not Outcome.COMPLETED)


def _commands(faults: Sequence[FaultRecord]) -> Table:
    rows = tuple(
        (
            place_name(fault.scenario, fault.case),
            text.literal(shlex.join(fault.command)),
            text.literal(shlex.join(fault.stop)) if fault.stop else text.NONE,
            text.instant(fault.started),
            text.seconds(_since(fault.started, fault.asked)),
            text.instant(fault.ended if fault.stop else None),
            text.seconds(_since(fault.ended, fault.asked_to_end)),
            text.literal(fault.output or ""),
        )
        for fault in faults
    )
    columns = (
        "Scenario / case", "Start command", "Stop command", "Start ended (UTC)", "Start took [s]",
        "Stop ended (UTC)", "Stop took [s]", "Output",
    )  # fmt: skip
    caption = "Commands as they ran; their output is in the named file of the run's folder."
    return Table(columns, rows, (columns[4], columns[6]), caption)


def name(fault: FaultRecord) -> str:
    """Return a fault from outside in words, such as ``network latency 0.3 s``."""
    share = "" if fault.rate == 1 else f" {fault.rate * 100:g} %"
    jitter = f" ± {fault.jitter:g}" if fault.jitter is not None else ""
    length = f" {fault.seconds:g}{jitter} s" if fault.seconds is not None else ""
    speed = f" {fault.kilobytes_per_second:g} kB/s" if fault.kilobytes_per_second is not None else ""
    way = " of requests" if fault.direction == "upstream" else ""
    return f"{fault.target} {fault.kind}{length}{speed}{share}{way}"


def _since(instant: float | None, begun: float | None) -> float | None:
    return instant - begun if instant is not None and begun is not None else None


def _at(evidence: Evidence, one: Restoration, instant: float) -> float:
    start = evidence.beginning(one.fault.scenario, one.fault.case)
    return instant - start if start is not None else instant
