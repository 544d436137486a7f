"""Network: bytes per job, by peer and direction."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.traffic import DEPENDENCIES, Traffic, traffic
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name


def steady(evidence: Evidence) -> Traffic | None:
    """Return the bytes of the case that stands for a job."""
    found = subjects.steady_load(evidence)
    return traffic(evidence, found.name, found.case) if found else None


def section(evidence: Evidence) -> Section:
    """Return the bytes per job of every case."""
    measured = steady(evidence)
    blocks: tuple[Block, ...] = (Paragraph("No bytes were counted in a case with a steady load."),)
    if measured:
        blocks = _detail(evidence, measured)
    rows = tuple(
        (
            place_name(scenario.name, case.name),
            text.count(bytes_of.jobs),
            *(
                _each((bytes_of.sent.get(name, 0) + bytes_of.received.get(name, 0)) / bytes_of.jobs)
                for name in DEPENDENCIES
            ),
            _each(bytes_of.uploaded / bytes_of.jobs),
            _each(bytes_of.downloaded / bytes_of.jobs),
            _each(bytes_of.total / bytes_of.jobs),
        )
        for scenario, case in evidence.cases(Dimension.RESOURCES)
        if (bytes_of := traffic(evidence, scenario.name, case)) is not None
    )
    columns = (
        "Scenario / case", "Jobs", "LLM [kB/job]", "TTS [kB/job]", "Image [kB/job]", "Store [kB/job]",
        "Document [kB/job]", "Video [kB/job]", "All [kB/job]",
    )  # fmt: skip
    caption = "Both directions, in every case; a cache hit moves no bytes to or from providers."
    return Section("Network bandwidth", (*blocks, Table(columns, rows, columns[1:], caption)))


def _detail(evidence: Evidence, found: Traffic) -> tuple[Block, ...]:
    subject = subjects.steady_load(evidence)
    if subject is None:
        return ()
    case, seconds = subject.case, case_seconds(subject.case)
    rows = [
        (
            name.upper() if name in {"llm", "tts"} else name.capitalize(),
            _each(found.sent.get(name, 0) / found.jobs),
            _each(found.received.get(name, 0) / found.jobs),
            _rate((found.sent.get(name, 0) + found.received.get(name, 0)), seconds),
        )
        for name in DEPENDENCIES
    ]
    rows.append(
        (
            "Client",
            _each(found.downloaded / found.jobs),
            _each(found.uploaded / found.jobs),
            _rate(found.uploaded + found.downloaded, seconds),
        )
    )
    items = (
        (
            f"A job moves **{text.amount(found.total / found.jobs)}** (n = {found.jobs} jobs), of which "
            f"{text.amount(found.egress / found.jobs)} are egress to the internet (requests to providers, and the "
            "video)."
        ),
        f"The case moved {_rate(found.total, seconds)} Mbit/s with {case.concurrency} jobs in flight.",
    )
    columns = ("Peer of the service", "Sent [kB/job]", "Received [kB/job]", "Both [Mbit/s]")
    caption = (
        f"{place_name(subject.name, case.name)}, n = {found.jobs} jobs, from the service's point of view. HTTP bodies "
        "as on the wire, without headers, with retries; payloads of the store. Client: the document received (without "
        "its form), the video sent. Totals of counters, therefore without an interval."
    )
    return Bullets(items), Table(columns, tuple(rows), columns[1:], caption)


def _each(value: float) -> str:
    return text.number(value / 1000, 2)


def _rate(value: float, seconds: float | None) -> str:
    return text.number(value * 8 / seconds / 1e6) if seconds else text.NONE
