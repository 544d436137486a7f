"""Jobs that the service stored: whether data are intact, and what happened while the store was away."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import FaultRecord, ScenarioRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_integrity import Losses, losses
from reelbench.reporting.analysis.outages import STORE
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion


def integrity(evidence: Evidence) -> Section:
    """Return lost, duplicated, corrupt, broken and unended jobs, each as k of n, and of how many it is unknown."""
    names = subjects.names(evidence.scenarios(Dimension.RELIABILITY))
    found = losses(evidence, *names)
    files = "decode, and match the manifest where the server has one" if evidence.foreign else "match the manifest"
    lead = (
        f"Every accepted job must reach exactly one terminal state, and its files must {files}. Violations "
        "of all reliability scenarios, with warm-up; intervals are exact (Clopper and Pearson), so zero in a small "
        "sample is not read as impossible."
    )
    rows = tuple((name, text.fraction(share), _limits(share)) for name, share in _violations(found))
    columns = ("Violation", "Jobs", "Share % (95 % CI)")
    items = []
    if found.files or not evidence.foreign:
        items.append(f"Files downloaded and compared with their sha256 and size: {found.files:,}.")
    if found.decoded:
        items.append(f"Files decoded: {found.decoded:,}{_sample(evidence)}.")
    scenario = subjects.most_files_checked(evidence)
    checked = losses(evidence, scenario.name) if scenario else None
    intact = exact_proportion(checked.checked - checked.damaged, checked.checked) if checked else None
    if scenario and checked and intact:
        how = f"{checked.files:,} files" if checked.files else f"{checked.decoded:,} files decoded"
        items.append(f"Integrity in `{scenario.name}`: {text.quoted(intact)}, exact interval; {how}.")
    items += _unknown(found)
    violations = Table(columns, rows, columns[1:], _definitions(found))
    audits = any(s.audit is not None for s in evidence.scenarios(Dimension.RELIABILITY))
    tables = (_by_scenario(evidence, names), *([_audit(evidence)] if audits or not evidence.foreign else []))
    return Section("Data integrity", (Paragraph(lead), violations, Bullets(tuple(items)), *tables))


def _sample(evidence: Evidence) -> str:
    most = evidence.run.check_videos
    return f" (at most {most} of each case, drawn by the seed)" if isinstance(most, int) else ""


def _unknown(found: Losses) -> list[str]:
    """Return why it is unknown of some jobs whether the server kept them."""
    items = []
    if found.unlisted:
        items.append(
            f"Whether accepted jobs were lost is unknown without a complete list of jobs: {'; '.join(found.unlisted)}."
        )
    if found.unread:
        items.append(f"The list of videos was not read in {', '.join(found.unread)}: losses there are not known.")
    if found.unknown:
        seen = f" The client saw {found.witnessed:,} of them end." if found.witnessed else ""
        items.append(
            f"Unknown, and not counted as lost: {text.counted(found.unknown, 'accepted job')} whose end no list shows "
            "(the server has no complete list or it was not read, the server removed the job, or the client gave it up "
            "or could not cancel it)."
            f"{seen}"
        )
    return items


def _violations(found: Losses) -> tuple[tuple[str, Proportion | None], ...]:
    """Return the violations; files are compared with a manifest, or decoded, only where that was possible."""
    return (
        ("lost", None if found.lost is None else exact_proportion(found.lost, found.expected)),
        ("duplicated", exact_proportion(found.duplicated, found.ids)),
        ("corrupt", exact_proportion(found.corrupt, found.compared)),
        ("broken", exact_proportion(found.broken, found.decoded)),
        ("not ended", exact_proportion(found.unended, found.accepted)),
    )


def _definitions(found: Losses) -> str:
    unknown = " -: not known." if found.lost is None or not found.compared or not found.decoded else ""
    return (
        "Lost: accepted, and afterwards not in the server's list of videos or without a terminal state. Duplicated: "
        "one id for two jobs. Corrupt: a file is missing, or a file or field does not match the manifest, of the jobs "
        "compared with one. Broken: the file is empty, no video, or does not decode to its end, of those opened. Not "
        f"ended: no terminal state within the scenario's time limit, when the client gave the job up.{unknown}"
    )


def _limits(share: Proportion | None) -> str:
    if share is None:
        return text.NONE
    return f"{share.value * 100:.2f} ({share.lower * 100:.2f} to {share.upper * 100:.2f})"


def _by_scenario(evidence: Evidence, names: list[str]) -> Table:
    rows = []
    for name in names:
        found = losses(evidence, name)
        rows.append((name, *(text.fraction(share) for _, share in _violations(found)), text.count(found.files)))
    columns = ("Scenario", "Lost", "Duplicated", "Corrupt", "Broken", "Not ended", "Files compared")
    return Table(columns, tuple(rows), columns[1:])


def _audit(evidence: Evidence) -> Table:
    rows = []
    for scenario in evidence.scenarios(Dimension.RELIABILITY):
        audit = scenario.audit
        if audit is None or audit.error is not None:
            why = (audit.error if audit else None) or "not offered by the service"
            rows.append((scenario.name, *[text.NONE] * 4, f"not available: {literal(why)}"))
            continue
        counts = (audit.live, audit.unsaved, audit.orphans, audit.missing)
        rows.append((scenario.name, *map(text.count, counts), "**not clean**" if any(counts) else "clean"))
    columns = ("Audit after", "Live", "Unsaved", "Orphans", "Missing", "Result")
    caption = (
        "State of the service after each scenario, by its own audit. Live: queued or running jobs. Unsaved: states "
        "that wait for the store. Orphans: folders of files without a record. Missing: completed records without files."
    )
    return Table(columns, tuple(rows), columns[1:5], caption)


REASONS = ("store_unavailable", "storage_unavailable", "queue_full", "service_shutdown")


def store_outage(evidence: Evidence) -> Section | None:
    """Return what was accepted, refused, kept back, written back and lost."""
    title = "Store outage"
    found = subjects.store_outages(evidence)
    if not found and evidence.foreign:
        return None
    if not found:
        return Section(title, (Paragraph("The store was not away in a case of this run."),))
    faults = [fault for fault in evidence.faults(*subjects.names(found)) if fault.target == STORE]
    items = [
        sentence
        for scenario in found
        for sentence in (
            _lost(evidence, scenario.name),
            _written(evidence, scenario.name),
            _held(evidence, scenario, [fault for fault in faults if fault.scenario == scenario.name]),
        )
    ]
    columns = (
        "Scenario / case", "Fault", "Length [s]", "Sent during outage", "Accepted", "Rejected", "Error",
        "Lifting to first acceptance [s]",
    )  # fmt: skip
    caption = (
        "Jobs by the time at which they were sent, from the client's records. A rejected job (503 with Retry-After) is "
        "not lost, as its client knows."
    )
    rows = tuple(_row(evidence, fault) for fault in faults)
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[2:], caption)))


def _row(evidence: Evidence, fault: FaultRecord) -> tuple[str, ...]:
    until = fault.ended if fault.ended is not None else float("inf")
    jobs = evidence.case_jobs(fault.scenario, fault.case)
    sent = [job for job in jobs if fault.started <= job.sent <= until]
    after = [job.accepted for job in jobs if job.accepted is not None and job.sent > until]
    return (
        place_name(fault.scenario, fault.case),
        fault.kind,
        text.seconds(until - fault.started if fault.ended is not None else None),
        text.count(len(sent)),
        text.count(sum(1 for job in sent if job.accepted is not None)),
        text.count(sum(1 for job in sent if job.outcome is Outcome.REJECTED)),
        text.count(sum(1 for job in sent if job.accepted is None and job.outcome is not Outcome.REJECTED)),
        text.seconds(min(after) - until if after else None),
    )


def _lost(evidence: Evidence, scenario: str) -> str:
    found = losses(evidence, scenario)
    share = None if found.lost is None else exact_proportion(found.lost, found.expected)
    if share is None:
        reason = f"the list of videos was not read ({', '.join(found.unread) or 'no job'})"
        return f"Jobs lost in `{scenario}`: not known, as {reason}."
    return (
        f"Jobs lost in `{scenario}`: **{text.fraction(share)}** accepted ones (95 % CI {share.lower * 100:.1f} to "
        f"{share.upper * 100:.1f} %, exact)."
    )


def _written(evidence: Evidence, scenario: str) -> str:
    kept = evidence.value(Role.JOBS_DEFERRED, scenario)
    written = evidence.value(Role.JOBS_WRITTEN_BACK, scenario)
    reasons = {reason: evidence.value(Role.JOBS_REJECTED, scenario, member=reason) for reason in REASONS}
    refused = ", ".join(f"{round(number):,} {reason}" for reason, number in reasons.items() if number is not None)
    return (
        f"Writes kept on disk during the outage: {text.count(kept)}; written back, the latest state of each job: "
        f"{text.count(written)} (PromQL). Rejected at creation: {refused or 'none'}."
    )


def _held(evidence: Evidence, scenario: ScenarioRecord, faults: list[FaultRecord]) -> str:
    audit = scenario.audit
    if audit is not None and audit.error is None and audit.unsaved:
        return f"Job states that still waited for the store at the end of the scenario: **{audit.unsaved}**."
    lifted = max((fault.ended for fault in faults if fault.ended is not None), default=None)
    seen = evidence.value(Role.STORE_UNSAVED_UNTIL, scenario.name)
    if seen is not None and lifted is not None:
        return (
            f"Last scrape with a job state waiting for the store: {abs(seen - lifted):.1f} s "
            f"{'after' if seen > lifted else 'before'} the last lifting (PromQL, ± one scrape interval)."
        )
    if audit is None or audit.error is not None:
        return "The service's own state was not read: not known whether every job state reached the store."
    if lifted is None or scenario.ended is None:
        return "At the end of the scenario no job state waited for the store."
    return (
        f"All job states were in the store ≤ {scenario.ended - lifted:.1f} s after the last lifting (an upper limit: "
        "the store was first looked at when the scenario ended)."
    )
