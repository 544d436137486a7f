"""Optimizations and their baselines: caches, pooled connections, and the same cases without."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.baseline import Comparison, compare
from reelbench.reporting.analysis.process_usage import job_seconds
from reelbench.reporting.analysis.subjects import Subject
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.verdict import switched_off


def cached(evidence: Evidence) -> Subject | None:
    """Return the cases with known prompts, or with the cache on, after the case without."""
    return subjects.known_prompts(evidence) or subjects.toggled(evidence, "cache")


def pooled(evidence: Evidence) -> Subject | None:
    """Return the case with pooled connections after the case without."""
    return subjects.toggled(evidence, "pooling")


def comparisons(evidence: Evidence, found: Subject | None) -> list[tuple[str, Comparison]]:
    """Return every case of a subject with its difference from the first one."""
    cases = found.cases[1:] if found else ()
    return [
        (case.name, compared)
        for case in cases
        if found and (compared := compare(evidence, found.name, case.name, found.case.name))
    ]


def sentence(found: Comparison, what: str, than: str) -> str:
    """Return a difference of average response times in words, with its interval."""
    share = abs(found.change) / found.baseline.average * 100 if found.baseline.average else 0.0
    word = "faster" if found.change < 0 else "slower"
    unclear = "" if found.clear else "; the interval includes zero: no difference is shown"
    return (
        f"{what} complete **{abs(found.change) * 1000:.1f} ms {word}** than {than} ({share:.1f} %): "
        f"{found.case.average:.3f} s (n = {found.case.n}) against {found.baseline.average:.3f} s "
        f"(n = {found.baseline.n}), 95 % CI of the difference {text.interval(found.difference, 'ms')} ms{unclear}."
    )


def section(evidence: Evidence) -> Section:
    """Return every case with an optimization next to its baseline."""
    rows = tuple(
        (
            what,
            f"{place_name(subject.name, case)} against {subject.case.name}",
            f"{found.case.n} and {found.baseline.n}",
            text.seconds(found.case.average),
            text.seconds(found.baseline.average),
            text.relative(found.case.average, found.baseline.average),
            text.interval(found.difference, "ms"),
        )
        for what, subject in (("Caches", cached(evidence)), ("Pooled connections", pooled(evidence)))
        if subject
        for case, found in comparisons(evidence, subject)
    )
    blocks: list[Block] = []
    if off := switched_off(evidence):
        blocks.append(Paragraph(f"The whole run is a baseline: the service ran without {text.listed(off)}."))
    if rows:
        columns = (
            "Optimization", "Cases", "n", "With [s]", "Without [s]", "Difference %", "95 % CI of the difference [ms]",
        )  # fmt: skip
        caption = "Average response time of completed jobs; interval of the difference of the means by Welch's t."
        blocks.append(Table(columns, rows, columns[2:], caption))
    if not blocks:
        blocks.append(Paragraph("No optimization and its baseline ran."))
    return Section("Optimizations and baselines", tuple(blocks))


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


def pooling(evidence: Evidence) -> Section:
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
    return Section(title, (Bullets(tuple(items)), _connections_table(evidence, found)))


def _connections_table(evidence: Evidence, found: Subject) -> Table:
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
