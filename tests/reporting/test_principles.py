"""The checklist of methodological principles: a met and a missed example of each of the eight."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, RunRecord
from reelbench.loadgen.record.stack import PrometheusRecord
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.estimates import Estimate
from reelbench.reporting.analysis.verdicts import Analysis, Status, Verdict, analyse
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.report import Paragraph, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.sections import principles
from reelbench.reporting.sections.principles import Finding, Met, judge
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence, measurement, only
from tests.reporting.made_run import MadeRun

replace = msgspec.structs.replace


def findings(known: Evidence, *, repetitions: int = 1, analysis: Analysis | None = None) -> dict[str, Finding]:
    found = judge(known, analysis or analyse(known, "performance"), "performance", repetitions=repetitions)
    return {finding.principle[:2]: finding for finding in found}


def with_stack(known: Evidence) -> Evidence:
    assert known.stack is not None
    stack = replace(known.stack, prometheus=PrometheusRecord(version="2.42.0"))
    return dataclasses.replace(known, stack=stack)


def in_environment(run: RunRecord, **changes: object) -> RunRecord:
    return replace(run, environment=replace(run.environment, **changes))


def changed_case(run: RunRecord, **changes: object) -> RunRecord:
    """The run with a changed case in its last scenario."""
    *others, last = run.scenarios
    case: CaseRecord = replace(last.cases[0], **changes)
    return replace(run, scenarios=[*others, replace(last, cases=[case])])


def test_p1_counts_repetitions(made: MadeRun) -> None:
    for runs, met in ((1, Met.NO), (2, Met.PARTLY), (4, Met.PARTLY), (5, Met.YES)):
        found = findings(evidence(made), repetitions=runs)["P1"]
        assert found.met is met
        assert found.fact.startswith(f"{runs} run")
        assert ("--repeat" in found.fact) is (met is not Met.YES)


def test_p2_counts_loads_and_configurations(made: MadeRun) -> None:
    plain = findings(evidence(made))["P2"]
    assert plain.met is Met.PARTLY
    assert plain.fact == "6 different loads in 9 cases; 1 configuration (toggles, prompts, faults)"
    baseline = evidence(made, run=changed_case(made.run, switches={"cache": False}))
    assert findings(baseline)["P2"].met is Met.YES
    fault = FaultRecord(
        scenario="throughput", case="n50", target="llm", kind="outage", rate=1, status=None, seconds=None, started=1,
        ended=2, seen=0, hit=0,
    )  # fmt: skip
    assert findings(evidence(made, run=replace(made.run, faults=[fault])))["P2"].met is Met.YES
    one = findings(evidence(made, run=only(made.run, "throughput")))["P2"]
    assert (one.met, one.fact) == (Met.NO, "1 different load in 1 case; 1 configuration (toggles, prompts, faults)")
    cut = findings(evidence(made, run=changed_case(baseline.run, started=None)))["P2"]
    assert (cut.met, cut.fact.endswith("; not run: throughput")) == (Met.PARTLY, True)


def test_p3_names_what_is_not_known(made: MadeRun) -> None:
    assert findings(with_stack(evidence(made)))["P3"].met is Met.YES
    hidden = in_environment(made.run, cpu_model="unknown", packages={})
    found = findings(evidence(made, run=hidden))["P3"]
    assert found.met is Met.PARTLY
    assert found.fact.endswith("; not known: CPU, libraries, Prometheus")
    nothing = in_environment(made.run, cpu_model="", memory_bytes=0, os="", python="", packages={})
    assert nothing.document is not None
    nothing = replace(nothing, plan_hash="", document=replace(nothing.document, sha256=""))
    bare = dataclasses.replace(evidence(made, run=nothing), stack=None)
    assert findings(bare)["P3"].met is Met.NO


def test_p4_needs_a_commit_a_clean_tree_and_a_lock_file(made: MadeRun) -> None:
    changes: tuple[tuple[dict[str, object], Met], ...] = (
        ({"dirty": False}, Met.YES),
        ({"dirty": True}, Met.PARTLY),
        ({"dirty": False, "lock_sha256": None}, Met.PARTLY),
        ({"commit": None}, Met.NO),
    )
    for change, met in changes:
        assert findings(evidence(made, run=in_environment(made.run, **change)))["P4"].met is met


def test_p5_counts_the_cases_whose_percentiles_have_an_upper_limit(made: MadeRun) -> None:
    found = findings(evidence(made))["P5"]
    # 100, 40, 90, 78, 156, 296, 36, 30 and fewer completed jobs in the steady parts: six of 72 and more
    assert found.met is Met.PARTLY
    assert "of 9 cases with completed jobs, 6 have enough for an upper limit of P95 (n ≥ 72) and 0 of P99" in found.fact
    assert findings(evidence(made, run=only(made.run, "throughput")))["P5"].met is Met.YES
    assert findings(evidence(made, run=only(made.run, "component_speed")))["P5"].met is Met.NO
    none: list[JobRecord] = []
    assert findings(evidence(made, jobs=none))["P5"] == Finding(
        "P5 Probabilistic result description", Met.NO, "no case has completed jobs"
    )


def judged(made: MadeRun, *, few: int, enough: int) -> Analysis:
    analysis = analyse(evidence(made), "performance")
    sli = evidence(made).catalogue.get("success_rate")
    assert sli.objective is not None

    def verdict(*, too_few: bool) -> Verdict:
        assert sli.objective is not None
        return Verdict(sli, "s", "c", "", sli.objective, Status.PASS, Estimate(1.0, 9), Certainty.HOLDS, "", too_few)

    verdicts = (*[verdict(too_few=True)] * few, *[verdict(too_few=False)] * enough)
    return Analysis(verdicts, (), (), analysis.status, 0, ())


def test_p6_needs_enough_samples_and_enough_runs(made: MadeRun) -> None:
    table = ((0, 4, 5, Met.YES), (0, 4, 1, Met.PARTLY), (1, 3, 5, Met.PARTLY), (4, 0, 5, Met.NO), (0, 0, 5, Met.NO))
    for few, enough, runs, met in table:
        found = findings(evidence(made), repetitions=runs, analysis=judged(made, few=few, enough=enough))["P6"]
        assert found.met is met
        assert found.fact.startswith(f"{enough} of {few + enough} judged objectives")


def test_p7_counts_indicators_with_a_unit(made: MadeRun) -> None:
    asked: list[Measurement] = [
        measurement(name, "throughput", value=1.0) for name in ("throughput", "response_time_p95")
    ]
    known = evidence(made, measurements=asked)
    assert findings(known)["P7"] == Finding("P7 Measurement units", Met.YES, "2 of 2 indicators measured have a unit")
    for bare, met in (({"throughput"}, Met.PARTLY), ({"throughput", "response_time_p95"}, Met.NO)):
        slis = tuple(replace(s, unit="1") if s.id in bare else s for s in known.catalogue.slis)
        changed = dataclasses.replace(known, catalogue=Catalogue(slis))
        assert findings(changed)["P7"].met is met


def test_p8_needs_a_cost(made: MadeRun, measured_resources: Path) -> None:
    text = report_text(measured_resources, "resources")
    row = next(line for line in text.splitlines() if line.startswith("| P8 Cost"))
    cost = text.split("Cost per 1,000 jobs: **")[1].split("**")[0]
    assert "**met**" in row
    assert f"{cost} for 1,000 jobs at list prices" in row
    unknown = findings(evidence(made))["P8"]
    assert made.run.ended is not None
    assert unknown.met is Met.PARTLY
    assert unknown.fact.startswith(f"the run took {made.run.ended - made.run.started:,.0f} s on 2 cores")
    assert findings(evidence(made, run=replace(made.run, ended=None)))["P8"].met is Met.NO


def test_the_section_counts_its_rows_and_each_report_has_it(
    made: MadeRun, measured: Path, measured_outages: Path, measured_resources: Path
) -> None:
    known = evidence(made)
    text, table = principles.section(known, analyse(known, Dimension.PERFORMANCE), Dimension.PERFORMANCE).blocks
    assert isinstance(text, Paragraph)
    assert isinstance(table, Table)
    kept = [row[1].strip("*") for row in table.rows]
    assert len(kept) == 8
    assert text.text.endswith(
        f"{kept.count('met')} met, {kept.count('partly')} partly, {kept.count('not met')} not met."
    )
    for folder, name in (
        (measured, "performance"),
        (measured_outages, "reliability"),
        (measured_resources, "resources"),
    ):
        report = report_text(folder, name)
        section = report.split(": Methodological principles\n")[1].split("\n## ")[0]
        assert [line[2:4] for line in section.splitlines() if line.startswith("| P")][1:] == [
            f"P{i}" for i in range(1, 9)
        ]
