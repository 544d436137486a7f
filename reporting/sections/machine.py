"""The machine of the load generator in each case: who took its CPU, and what waited."""

from __future__ import annotations

from reelbench.loadgen.record.conditions import ConditionsRecord, MachineRecord
from reelbench.reporting.analysis.disturbance import MAX_STEAL, MAX_THROTTLED, disturbances, takers
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name

_COLUMNS = (
    "Scenario / case", "Run %", "Others %", "Peak %", "Steal %", "Idle %", "CPU pressure %", "I/O pressure %",
    "Memory pressure %", "Throttled %", "Frequency [MHz]", "Others that took most",
)  # fmt: skip


def section(evidence: Evidence, *dimensions: str) -> Section:
    """Return what the machine did in each case of some dimensions, and which cases were disturbed."""
    conditions = evidence.conditions
    places = {(scenario.name, case.name) for one in dimensions for scenario, case in evidence.cases(one)}
    seen = [one for one in conditions.machine if (one.scenario, one.case) in places] if conditions else []
    if conditions is None or not seen:
        return Section("Machine", (Paragraph("What else the machine did was not recorded."),))
    disturbed = [one for dimension in dimensions for one in disturbances(evidence, dimension) if one.case]
    lead = (
        f"**{text.counted(len(disturbed), 'case')} disturbed**: "
        f"{'; '.join(literal(one.sentence) for one in disturbed)}."
        if disturbed
        else "No case was disturbed."
        if not any(one.unknown for one in seen)
        else "No disturbance is known."
    )
    blocks: list[Block] = [
        Paragraph(f"{lead} {_rule(conditions)}"),
        Table(_COLUMNS, tuple(_row(one) for one in seen), numeric=_COLUMNS[1:11], caption=_caption(seen)),
    ]
    if hidden := sorted({one.unknown for one in seen if one.unknown}):
        blocks.append(Paragraph(f"Others could not be distinguished from the run: {literal('; '.join(hidden))}."))
    return Section("Machine", tuple(blocks))


def _rule(conditions: ConditionsRecord) -> str:
    if conditions.others_limit is None:
        return "The machine is recorded here and not judged (`REELBENCH_OTHERS_LIMIT=none`)."
    return (
        f"A case is INCONCLUSIVE when other processes took more than {text.percent(conditions.others_limit, 0)} % of "
        "the CPU and left fewer idle CPUs than the square root of all, when steal is above "
        f"{text.percent(MAX_STEAL, 0)} %, or when a CPU quota stopped the container in more than "
        f"{text.percent(MAX_THROTTLED, 0)} % of its periods."
    )


def _caption(seen: list[MachineRecord]) -> str:
    cost = sum(one.cost for one in seen) / max(1e-9, sum(one.seconds for one in seen))
    cpus = text.listed(sorted({f"{one.cpus}" for one in seen}))
    return (
        f"Shares of the CPU time of {cpus} CPUs, on which processes of the run may run. Others: all processes but the "
        "suite with its children, the processes that listen on the target's port, what works for these, and containers "
        "in the network of the target. Peak: highest share of others in one second. Pressure: share of time in which "
        "some process waited (PSI). Throttled: share of the periods of a CPU quota. These samples took "
        f"{cost * 100:.1g} % of one CPU."
    )


def _row(seen: MachineRecord) -> tuple[str, ...]:
    pressure = seen.pressure
    return (
        place_name(seen.scenario, seen.case),
        *(text.percent(share, 1) for share in (seen.run, seen.others, seen.others_peak, seen.steal, seen.idle)),
        *(
            text.percent(share, 1)
            for share in ((pressure.cpu, pressure.io, pressure.memory) if pressure else (None, None, None))
        ),
        text.percent(seen.throttling.share, 1) if seen.throttling else text.NONE,
        " to ".join(f"{one:.0f}" for one in dict.fromkeys(seen.frequency)) or text.NONE,
        literal(takers(seen)) or text.NONE,
    )
