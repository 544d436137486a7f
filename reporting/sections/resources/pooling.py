"""Connection pooling: connections counted at both ends, connect time, response time."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.reporting.analysis.process_usage import job_seconds
from reelbench.reporting.analysis.subjects import Subject
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.resources.baselines import comparisons, pooled, sentence

PROVIDERS = ("llm", "tts", "image")


@dataclass(frozen=True, slots=True)
class Connections:
    """Calls of a case that arrived at a provider, and their connections."""

    calls: int
    connections: int | None
    """None when the provider did not record the connection of each call."""


def connections(evidence: Evidence, scenario: str, case: str, *providers: str) -> Connections:
    """Return the calls and connections that providers counted in a case."""
    calls = [call for provider in providers for call in calls_of(evidence, scenario, case, provider)]
    known = [(call.provider, call.connection) for call in calls if call.connection is not None]
    return Connections(len(calls), len(set(known)) if calls and len(known) == len(calls) else None)


def calls_of(evidence: Evidence, scenario: str, case: str, provider: str) -> list[CallRecord]:
    """Return the calls that arrived at a provider while the measured jobs of a case ran, in order of arrival."""
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
    """Return the case with pooled connections next to the one without."""
    title = "Connection pooling"
    found = pooled(evidence)
    if found is None:
        return Section(title, (Paragraph("No scenario of this run toggles the pooling of connections."),))
    off, on = found.cases
    items = [
        sentence(difference, "Jobs with pooled connections", "those with a connection for each attempt")
        for _, difference in comparisons(evidence, found)
    ]
    with_pool, without = (connections(evidence, found.name, case.name, *PROVIDERS) for case in (on, off))
    if with_pool.connections is not None and without.connections is not None:
        items.append(
            f"The providers counted **{with_pool.connections:,} connections for {with_pool.calls:,} calls** with "
            f"pooling, {without.connections:,} for {without.calls:,} without. The client opened "
            f"{text.count(_opened(evidence, found.name, on.name))} of them with pooling, "
            f"{text.count(_opened(evidence, found.name, off.name))} without."
        )
    times = [(name, evidence.measured(Role.CONNECT_AVG, "", member=name)) for name in PROVIDERS]
    known = [f"{name} {text.milliseconds(m.value)} ms (n = {m.n})" for name, m in times if m and m.value is not None]
    if known:
        items.append(
            f"Average time to open a connection, over the life of the service's process: {', '.join(known)}. On "
            "loopback without TLS; over a network it takes one round trip, and one or two more for TLS."
        )
    return Section(title, (Bullets(tuple(items)), _table(evidence, found)))


def _table(evidence: Evidence, found: Subject) -> Table:
    rows = []
    for case in reversed(found.cases):
        each = job_seconds(evidence, found.name, case)
        for name in PROVIDERS:
            at_provider = connections(evidence, found.name, case.name, name)
            per = at_provider.calls / at_provider.connections if at_provider.connections else None
            rows.append(
                (
                    case.name,
                    name,
                    text.count(at_provider.calls if evidence.calls_read(found.name) else None),
                    text.count(at_provider.connections),
                    text.number(per, 1),
                    text.count(evidence.value(Role.CONNECTIONS_OPENED, found.name, case.name, name)),
                    text.count(evidence.value(Role.CONNECTIONS_REUSED, found.name, case.name, name)),
                    text.milliseconds(each),
                )
            )
    columns = (
        "Case", "Provider", "Calls at the provider", "Connections at the provider", "Calls per connection",
        "Opened by the client", "Reused by the client", "CPU [ms/job]",
    )  # fmt: skip
    caption = (
        "Connections at the provider: distinct addresses and ports of the caller, of calls of measured jobs. A pooled "
        "connection can be opened before the case, so the client may have opened fewer. CPU: service and media workers "
        "in the case, for all providers."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _opened(evidence: Evidence, scenario: str, case: str) -> float | None:
    known = [evidence.value(Role.CONNECTIONS_OPENED, scenario, case, name) for name in PROVIDERS]
    found = [value for value in known if value is not None]
    return sum(found) if found else None
