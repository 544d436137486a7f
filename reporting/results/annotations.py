"""What of a run is shown as a region on dashboards: the run, its scenarios and its faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.run import FaultRecord, RunRecord, RunState
from reelbench.reporting.analysis.verdicts import Status, Verdict
from reelbench.reporting.document.grafana_links import TAG


class Region(msgspec.Struct, frozen=True):
    """A stretch of time with a text; `key` stays the same while the run goes on."""

    key: str
    started: float
    ended: float | None
    text: str
    tags: tuple[str, ...]


def regions(run: RunRecord, verdicts: Sequence[Verdict] = (), status: Status | None = None) -> list[Region]:
    """Everything of a run that has begun, with its verdicts once they are known."""
    going_on = run.state in {RunState.PENDING, RunState.RUNNING}
    end = f": {status}" if status else "" if going_on else f": {run.state}"
    found = [
        Region("run", run.started, run.ended, f"Run {run.run_id}, profile {run.profile}{end}", (TAG, "run", run.run_id))
    ]
    for scenario in run.scenarios:
        if scenario.started is None:
            continue
        tally = Counter(verdict.status for verdict in verdicts if verdict.scenario == scenario.name)
        words = ", ".join(f"{tally[one]} {one}" for one in Status if tally[one])
        text = f"Scenario {scenario.name}{f': {words}' if words else ''}"
        tags = (TAG, "scenario", run.run_id, scenario.name)
        found.append(Region(f"scenario {scenario.name}", scenario.started, scenario.ended, text, tags))
    for number, fault in enumerate(run.faults):
        labels = (TAG, "fault", run.run_id, fault.scenario, fault.target)
        found.append(Region(f"fault {number}", fault.started, fault.ended, _fault(fault), labels))
    return found


def _fault(fault: FaultRecord) -> str:
    hit = f", hit {fault.hit} of {fault.seen} calls" if fault.hit is not None and fault.seen is not None else ""
    return f"Fault {fault.target} {fault.kind}, rate {fault.rate:g}{hit}"
