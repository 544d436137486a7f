"""Optimizations and their baselines: caches, pooled connections, and the same cases without."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.baseline import NEGLIGIBLE_A12, Comparison, compare, corrected
from reelbench.reporting.analysis.cpu_usage import job_seconds
from reelbench.reporting.analysis.subjects import Subject, Toggled
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, once, place_name
from reelbench.reporting.sections.verdict import switched_off

CACHES, POOLING = "Caches", "Pooled connections"


def cached(evidence: Evidence) -> Subject | None:
    """Return the cases with known prompts, or with the cache on, after the case without."""
    found = subjects.toggled(evidence, "cache")
    return subjects.known_prompts(evidence) or (
        Subject(found.scenario, (found.off[0], found.on[0])) if found is not None else None
    )


def pooled(evidence: Evidence) -> Toggled | None:
    """Return the cases with pooled connections and those without."""
    return subjects.toggled(evidence, "pooling")


def cache_effects(evidence: Evidence) -> list[tuple[str, Comparison]]:
    """Return every case with cached prompts by name, with its difference from the one without."""
    return [(case, one) for what, case, one in _family(evidence) if what == CACHES]


def pooling_effect(evidence: Evidence) -> Comparison | None:
    """Return the difference that pooled connections make, over all cases with and without."""
    return next((one for what, _, one in _family(evidence) if what == POOLING), None)


@once
def _family(evidence: Evidence) -> tuple[tuple[str, str, Comparison], ...]:
    """Return every comparison of an optimization with its case; all p of them are corrected together."""
    found: list[tuple[str, str, Comparison | None]] = []
    if (caches := cached(evidence)) is not None:
        name, base = caches.name, caches.case.name
        found += [(CACHES, case.name, compare(evidence, name, [case.name], [base])) for case in caches.cases[1:]]
    if (pooling := pooled(evidence)) is not None:
        on, off = ([case.name for case in cases] for cases in (pooling.on, pooling.off))
        found.append((POOLING, ", ".join(on), compare(evidence, pooling.name, on, off)))
    known = [(what, case, one) for what, case, one in found if one is not None]
    return tuple(
        (what, case, one) for (what, case, _), one in zip(known, corrected([one for *_, one in known]), strict=True)
    )


def sentence(found: Comparison, what: str, than: str) -> str:
    """Return a difference of average response times in words, with its interval; or that none is shown."""
    times = (
        f"{found.case.average:.3f} s (n = {found.case.n}) against {found.baseline.average:.3f} s "
        f"(n = {found.baseline.n}), 95 % CI of the difference {text.interval(found.difference, 'ms')} ms, corrected p "
        f"{text.p_value(found.p)}"
    )
    if found.disturbed is not None:
        return f"**Not judged**, {what.lower()} against {than}: {times}. A case was disturbed: {found.disturbed}."
    if not found.shown:
        return f"**No difference shown** between {what.lower()} and {than}: {times}."
    share = abs(found.change) / found.baseline.average * 100 if found.baseline.average else 0.0
    word = "faster" if found.change < 0 else "slower"
    drift = "" if found.pairs > 1 else "; one ordered pair, so a drift of the machine is not excluded"
    return f"{what} complete **{abs(found.change) * 1000:.1f} ms {word}** than {than} ({share:.1f} %): {times}{drift}."


def section(evidence: Evidence) -> Section:
    """Return every case with an optimization next to its baseline."""
    caches, pooling = cached(evidence), pooled(evidence)
    found_in = {CACHES: caches.name if caches else "", POOLING: pooling.name if pooling else ""}
    baselines = {
        CACHES: caches.case.name if caches else "",
        POOLING: ", ".join(case.name for case in pooling.off) if pooling else "",
    }
    rows = tuple(
        (
            what,
            f"{place_name(found_in[what], case)} against {baselines[what]}",
            f"{found.case.n} and {found.baseline.n}",
            text.seconds(found.case.average),
            text.seconds(found.baseline.average),
            text.relative(found.case.average, found.baseline.average),
            text.interval(found.difference, "ms"),
            text.p_value(found.p),
            _result(found),
        )
        for what, case, found in _family(evidence)
    )
    blocks: list[Block] = []
    if off := switched_off(evidence):
        blocks.append(Paragraph(f"The whole run is a baseline: the service ran without {text.listed(off)}."))
    if rows:
        columns = (
            "Optimization", "Cases", "n", "With [s]", "Without [s]", "Difference %", "95 % CI of the difference [ms]",
            "p corrected", "Result",
        )  # fmt: skip
        caption = (
            "Average response time of completed jobs; interval of the difference of the means and p by Welch's t, all "
            "p of this table corrected together (Benjamini and Hochberg). A difference is shown when the corrected p "
            f"is at most 0.05 and |A12 - 0.5| ≥ {NEGLIGIBLE_A12:g}."
        )
        blocks.append(Table(columns, rows, columns[2:-1], caption))
    if not blocks:
        blocks.append(Paragraph("No optimization and its baseline ran."))
    return Section("Optimizations and baselines", tuple(blocks))


def _result(found: Comparison) -> str:
    if found.disturbed is not None:
        return f"not judged: {found.disturbed}"
    return "difference shown" if found.shown else "no difference shown"


PROVIDERS = ("llm", "tts", "image")


class Connections(msgspec.Struct, frozen=True):
    """Calls of a case that arrived at a provider, and their connections."""

    calls: int
    connections: int | None
    """None when the provider did not record the connection of each call."""


def connections(evidence: Evidence, scenario: str, case: str, *providers: str) -> Connections:
    """Return the calls and connections that providers counted in a case."""
    calls = [call for provider in providers for call in calls_of(evidence, scenario, case, provider)]
    known = [(call.provider, call.connection) for call in calls if call.connection is not None]
    return Connections(len(calls), len(set(known)) if calls and len(known) == len(calls) else None)


@once
def calls_of(evidence: Evidence, scenario: str, case: str, provider: str) -> tuple[CallRecord, ...]:
    """Return the calls that arrived at a provider while the measured jobs of a case ran, in order of arrival."""
    found = evidence.scenario(scenario)
    record = next((c for c in found.cases if c.name == case), None) if found else None
    if record is None or record.started is None:
        return ()
    started, ended = record.started, record.ended
    return tuple(
        call
        for call in evidence.calls
        if call.scenario == scenario
        and call.case == case
        and call.provider == provider
        and call.arrived >= started
        and (ended is None or call.arrived <= ended)
    )


def pooling(evidence: Evidence) -> Section:
    """Return the case with pooled connections next to the one without."""
    title = "Connection pooling"
    found = pooled(evidence)
    if found is None:
        return Section(title, (Paragraph("No scenario of this run toggles the pooling of connections."),))
    items = []
    if (difference := pooling_effect(evidence)) is not None:
        items.append(sentence(difference, "Jobs with pooled connections", "those with a connection for each attempt"))
    with_pool, without = (_together(evidence, found.name, cases) for cases in (found.on, found.off))
    if with_pool.connections is not None and without.connections is not None:
        items.append(
            f"The providers counted **{with_pool.connections:,} connections for {with_pool.calls:,} calls** with "
            f"pooling, {without.connections:,} for {without.calls:,} without. The client opened "
            f"{text.count(_opened(evidence, found.name, found.on))} of them with pooling, "
            f"{text.count(_opened(evidence, found.name, found.off))} without."
        )
    times = [(name, evidence.measured(Role.CONNECT_AVG, "", member=name)) for name in PROVIDERS]
    known = [f"{name} {text.milliseconds(m.value)} ms (n = {m.n})" for name, m in times if m and m.value is not None]
    if known:
        items.append(
            f"Average time to open a connection, over the life of the service's process: {', '.join(known)}. On "
            "loopback without TLS; over a network it takes one round trip, and one or two more for TLS."
        )
    return Section(title, (Bullets(tuple(items)), _connections_table(evidence, found)))


def _together(evidence: Evidence, scenario: str, cases: Sequence[CaseRecord]) -> Connections:
    """Return the calls and connections of some cases together."""
    counts = [connections(evidence, scenario, case.name, *PROVIDERS) for case in cases]
    known = [one.connections for one in counts if one.connections is not None]
    return Connections(sum(one.calls for one in counts), sum(known) if len(known) == len(counts) else None)


def _connections_table(evidence: Evidence, found: Toggled) -> Table:
    rows = []
    for case in (*found.on, *found.off):
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


def _opened(evidence: Evidence, scenario: str, cases: Sequence[CaseRecord]) -> float | None:
    known = [evidence.value(Role.CONNECTIONS_OPENED, scenario, case.name, name) for case in cases for name in PROVIDERS]
    found = [value for value in known if value is not None]
    return sum(found) if found else None
