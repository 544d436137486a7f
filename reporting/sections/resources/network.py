"""Network: bytes that a job moves, by dependency and direction."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.traffic import DEPENDENCIES, Traffic, traffic
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.sections.common import not_run

DIMENSION = "resources"
SCENARIO = "network_bandwidth"


def section(evidence: Evidence) -> Section:
    """Bytes for each job."""
    blocks: list[Block] = []
    found = evidence.scenario(SCENARIO)
    case = next((c for c in found.cases if c.started is not None), None) if found else None
    measured = traffic(evidence, SCENARIO, case) if case else None
    if case is None or measured is None:
        blocks += not_run(SCENARIO) if case is None else ()
    else:
        blocks += _detail(case, measured)
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
        for scenario, case in evidence.cases(DIMENSION)
        if (bytes_of := traffic(evidence, scenario.name, case)) is not None
    )
    columns = (
        "Scenario / case", "Jobs", "LLM [kB/job]", "TTS [kB/job]", "Image [kB/job]", "Store [kB/job]",
        "Document [kB/job]", "Video [kB/job]", "All [kB/job]",
    )  # fmt: skip
    caption = "Both directions together, in every case; cached answers move nothing."
    return Section("Network bandwidth", (*blocks, Table(columns, rows, columns[1:], caption)))


def _detail(case: CaseRecord, found: Traffic) -> tuple[Block, ...]:
    seconds = case_seconds(case)
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
            f"A job moves **{text.amount(found.total / found.jobs)}** in all (n = {found.jobs} jobs), of which "
            f"{text.amount(found.egress / found.jobs)} leave for the internet (requests to providers, and the video)."
        ),
        f"The case moved {_rate(found.total, seconds)} Mbit/s with {case.concurrency} jobs in flight.",
    )
    columns = ("Peer of the service", "Sent [kB/job]", "Received [kB/job]", "Both [Mbit/s]")
    caption = (
        f"`{SCENARIO}`, n = {found.jobs} jobs, seen from the service. Bodies of HTTP as on the wire, without headers, "
        "retries included; of the store, payloads. Client: the document received (without the form around it), the "
        "video sent. Totals of counters, so without an interval."
    )
    return Bullets(items), Table(columns, tuple(rows), columns[1:], caption)


def _each(value: float) -> str:
    return text.number(value / 1000, 2)


def _rate(value: float, seconds: float | None) -> str:
    return text.number(value * 8 / seconds / 1e6) if seconds else text.NONE
