"""What connection pooling gives: connections counted at both ends, connect time, response time."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.reporting.analysis.baseline import compare
from reelbench.reporting.analysis.process_usage import job_seconds
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run

SCENARIO = "connection_pooling"
POOLED, UNPOOLED = "pooled", "unpooled"
PROVIDERS = ("llm", "tts", "image")


@dataclass(frozen=True, slots=True)
class Connections:
    """Calls of a case that arrived at a provider, and the connections that they came over."""

    calls: int
    connections: int | None
    """None when the provider did not say which connection a call came over."""


def connections(evidence: Evidence, scenario: str, case: str, provider: str) -> Connections:
    """Count at the provider."""
    calls = calls_of(evidence, scenario, case, provider)
    known = [call.connection for call in calls if call.connection is not None]
    return Connections(len(calls), len(set(known)) if len(known) == len(calls) and calls else None)


def calls_of(evidence: Evidence, scenario: str, case: str, provider: str) -> list[CallRecord]:
    """Calls that arrived at a provider while the measured jobs of a case ran, in order of arrival."""
    found = evidence.scenario(scenario)
    record = next((c for c in found.cases if c.name == case), None) if found else None
    if record is None or record.started is None:
        return []
    started, ended = record.started, record.ended
    return [
        call
        for call in evidence.calls
        if (call.scenario, call.case, call.provider) == (scenario, case, provider)
        and call.arrived >= started
        and (ended is None or call.arrived <= ended)
    ]


def section(evidence: Evidence) -> Section:
    """The pooled case beside the unpooled one."""
    title = "Connection pooling"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    blocks: list[Block] = []
    items = []
    found = compare(evidence, SCENARIO, POOLED, UNPOOLED)
    if found:
        items.append(found.sentence("Jobs with pooled connections", "those with a connection for each attempt"))
    counted = {case: [connections(evidence, SCENARIO, case, name) for name in PROVIDERS] for case in (POOLED, UNPOOLED)}
    pooled, unpooled = (_sum(counted[case]) for case in (POOLED, UNPOOLED))
    if pooled.connections is not None and unpooled.connections is not None:
        items.append(
            f"The providers counted **{pooled.connections:,} connections for {pooled.calls:,} calls** with pooling, "
            f"{unpooled.connections:,} for {unpooled.calls:,} without; the client opened "
            f"{text.count(_opened(evidence, POOLED))} of them in the pooled case, "
            f"{text.count(_opened(evidence, UNPOOLED))} in the other."
        )
    times = [(name, evidence.measured("connect_avg", "", member=name)) for name in PROVIDERS]
    known = [f"{name} {text.milliseconds(m.value)} ms (n = {m.n})" for name, m in times if m and m.value is not None]
    if known:
        items.append(
            f"A connection takes on average, over the life of the service's process: {', '.join(known)}. On loopback, "
            "without TLS: over a real network each costs one round trip and TLS one or two more."
        )
    blocks.append(Bullets(tuple(items)))
    blocks.append(_table(evidence, counted))
    return Section(title, tuple(blocks))


def _table(evidence: Evidence, counted: dict[str, list[Connections]]) -> Table:
    rows = []
    scenario = evidence.scenario(SCENARIO)
    for case in scenario.cases if scenario else []:
        each = job_seconds(evidence, SCENARIO, case) if case.started is not None else None
        for name, at_provider in zip(PROVIDERS, counted.get(case.name, ()), strict=False):
            per = at_provider.calls / at_provider.connections if at_provider.connections else None
            rows.append(
                (
                    case.name,
                    name,
                    text.count(at_provider.calls if evidence.calls_read(SCENARIO) else None),
                    text.count(at_provider.connections),
                    text.number(per, 1),
                    text.count(evidence.value("connections_opened", SCENARIO, case.name, name)),
                    text.count(evidence.value("connections_reused", SCENARIO, case.name, name)),
                    text.milliseconds(each),
                )
            )
    columns = (
        "Case", "Provider", "Calls at the provider", "Connections at the provider", "Calls each",
        "Opened by the client", "Reused by the client", "CPU [ms/job]",
    )  # fmt: skip
    caption = (
        "Connections at the provider are distinct addresses and ports of the caller among the calls of measured jobs; "
        "a pooled one can have been opened before the case, so the client may have opened fewer. CPU is that of "
        "service and media workers in the case, of all providers together."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _opened(evidence: Evidence, case: str) -> float | None:
    known = [evidence.value("connections_opened", SCENARIO, case, name) for name in PROVIDERS]
    found = [value for value in known if value is not None]
    return sum(found) if found else None


def _sum(parts: list[Connections]) -> Connections:
    known = [part.connections for part in parts if part.connections is not None]
    return Connections(sum(part.calls for part in parts), sum(known) if len(known) == len(parts) else None)
