"""The section on overload, cancellations at once and slow clients, from a made run."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.record.run import ArrivalsRecord, CaseRecord, RunState
from reelbench.reporting.analysis import subjects
from reelbench.reporting.export import export
from tests.data_helper import job
from tests.report_text import report_text
from tests.reporting import evidence_of, made_outages
from tests.reporting.made_run import START, MadeRun

BEGIN = START + 3_000
NAME = "flood"
ARRIVALS = ArrivalsRecord(process="constant", rate=20, seconds=2, drain=10, max_in_flight=500)
REFUSED = {"outcome": Outcome.REJECTED, "accepted": None, "job_id": None, "error": "busy", "bytes": 0}


def jobs() -> list[JobRecord]:
    made = [_job("before", i, 0.5) for i in range(10)]
    for i in range(40):
        changes: dict[str, object] = {}
        if i % 4 == 0:
            changes = dict(REFUSED)
        elif i == 39:
            changes = {"outcome": Outcome.TIMEOUT, "error": "not finished when the case was cut off"}
        made.append(_job("flood", i, 2.0, **changes))
    made += [_job("slow", i, 1.5 if i % 2 else 3.0, slow_client=i % 2 == 0) for i in range(8)]
    cancelled = {"outcome": Outcome.CANCELLED, "error": "cancelled by the plan", "deleted": True, "leftover": False}
    made += [_job("storm", i, 0.3, cancel_sent=BEGIN + 31, **cancelled) for i in range(20)]
    return [*made, *(_job("after", i, 0.6) for i in range(9)), _job("after", 9, 0.6, outcome=Outcome.FAILED, error="x")]


STARTS = {"before": 0.0, "flood": 10.0, "slow": 20.0, "storm": 30.0, "after": 40.0}


def _job(case: str, index: int, seconds: float, **changes: object) -> JobRecord:
    due = BEGIN + STARTS[case] + index * 0.05
    return replace(job(index, due=due, seconds=seconds, scenario=NAME, case=case, job_id=f"{case}{index}"), **changes)


def requests(made: list[JobRecord]) -> list[RequestRecord]:
    def status(j: JobRecord) -> int:
        return 202 if j.accepted is not None else 429 if j.index % 8 == 0 else 503

    return [
        RequestRecord(
            scenario=NAME, case=j.case, index=j.index, warmup=False, operation="create", sent=j.sent, duration=0.01,
            status=status(j), bytes=10,
        )
        for j in made
    ]  # fmt: skip


def made_run() -> MadeRun:
    base, made = made_outages.make(), jobs()
    template = base.run.scenarios[0]
    assert template.store is not None

    def case(name: str) -> CaseRecord:
        mine = [j for j in made if j.case == name]
        return replace(
            template.cases[0], name=name, concurrency=0 if name == "flood" else 2, planned=len(mine),
            model="open" if name == "flood" else "closed", arrivals=ARRIVALS if name == "flood" else None,
            started=BEGIN + STARTS[name], ended=max(j.done for j in mine),
        )  # fmt: skip

    kept = sum(1 for j in made if j.accepted is not None and not j.deleted)
    scenario = replace(
        template, name=NAME, title="Flood", cases=[case(name) for name in STARTS], started=BEGIN, ended=BEGIN + 60,
        store=replace(template.store, expected=kept, found=kept, by_status={"completed": kept}), audit=None,
    )  # fmt: skip
    run = replace(base.run, scenarios=[scenario], faults=[], transitions=[], state=RunState.COMPLETED)
    return MadeRun(run=run, jobs=made, requests=requests(made), series=base.series, instant=base.instant)


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the tables of the section by their first cell; of two tables, those of the last one."""
    part = text.split("## Unusual load")[1].split("\n## ", maxsplit=1)[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return {f"{len(cells)} {cells[0]}": cells[1:] for cells in lines}


def test_refusals_accepted_jobs_and_what_came_after_are_counted(tmp_path: Path) -> None:
    run = made_run().write(tmp_path / "run")
    export(run, None, charts=False)
    text = report_text(run, "reliability")
    found = rows(text)
    assert found["7 flood / flood"] == ["40", "30", "5", "5", "0", "0"]
    assert found["10 flood / flood"][:6] == ["40", "29", "10", "0", "0", "1"]
    assert found["10 flood / storm"][:4] == ["20", "0", "0", "20"]
    assert found["10 flood / slow, slow clients"][0] == found["10 flood / slow, others"][0] == "4"
    assert found["10 flood / slow, slow clients"][6] == "3.000"
    assert found["10 flood / slow, others"][6] == "1.500"
    assert "of 40 create requests, 10 were refused for overload (5 with 429, 5 with 503)" in text
    assert "29 of 30 jobs completed, 1 had not ended when the case was cut off" in text
    assert "jobs of the other clients took P50 1.5 s next to slow clients, P50 500 ms without them" in text
    assert "9 of 10 jobs completed, P50 600 ms; before (`before`): 10 of 10 jobs completed, P50 500 ms" in text


def test_such_a_scenario_is_no_normal_operation() -> None:
    evidence = evidence_of.evidence(made_run())
    assert [scenario.name for scenario in subjects.unusual_load(evidence)] == [NAME]
    assert subjects.normal_operation(evidence) is None
