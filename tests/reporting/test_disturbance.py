"""Verdicts on a machine that others used: by value, at the borders of the rule."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from reelbench.loadgen.record.conditions import (
    ConditionsRecord,
    MachineRecord,
    PressureRecord,
    TakerRecord,
    ThrottlingRecord,
)
from reelbench.reporting.analysis.disturbance import disturbance
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.document.report import Paragraph, Table
from reelbench.reporting.sections import machine
from reelbench.suite.busy import warning
from tests.reporting.evidence_of import evidence, measurement, only
from tests.reporting.made_run import MadeRun

RECONCILED = [
    measurement("client_jobs", "single_request", "", "completed", value=100),
    measurement("service_jobs", "single_request", "", "completed", value=100),
]

QUIET = MachineRecord(
    scenario="single_request", case="n01", seconds=10.0, cpus=2, run=0.3, others=0.04, others_peak=0.1, steal=0.0,
    idle=0.66, pressure=PressureRecord(cpu=0.12, io=0.0, memory=0.0), frequency=(2000.0, 1800.0), cost=0.04,
)  # fmt: skip


def seen(**changes: object) -> MachineRecord:
    return msgspec.structs.replace(QUIET, **changes)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (QUIET, None),
        (seen(others=0.25, idle=0.4), None),
        (seen(others=0.26, idle=0.4), "other processes took 26 % of the CPU, more than 25 %"),
        (seen(others=None, idle=0.0, unknown="hidden"), None),
        # 64 CPUs of which 20 are idle: a process that wants to run finds one at once
        (seen(cpus=64, others=0.5, idle=0.3), None),
        (seen(cpus=64, others=0.8, idle=0.12), "other processes took 80 % of the CPU, more than 25 %"),
        (
            seen(others=0.62, idle=0.0, takers=(TakerRecord(name="cc1plus", share=0.41),)),
            "other processes took 62 % of the CPU (cc1plus 41 %), more than 25 %",
        ),
        (seen(steal=0.1), None),
        (seen(steal=0.2), "the host of this virtual machine took 20 % of the CPU (steal), more than 10 %"),
        (seen(throttling=ThrottlingRecord(periods=100, throttled=10)), None),
        (
            seen(throttling=ThrottlingRecord(periods=100, throttled=30)),
            "the CPU quota of the container stopped its processes in 30 % of the periods, more than 10 %",
        ),
    ],
)
def test_who_or_what_took_the_cpu(found: MachineRecord, words: str | None) -> None:
    assert disturbance(found, 0.25) == words


BUSY = seen(others=0.62, idle=0.0, takers=(TakerRecord(name="cc1plus", share=0.41),))
REASON = "other processes took 62 % of the CPU (cc1plus 41 %), more than 25 %"


@pytest.mark.parametrize("slower", [0.0, 100.0])
@pytest.mark.parametrize(
    ("found", "limit", "status"),
    [
        (BUSY, 0.25, Status.INCONCLUSIVE),
        (BUSY, 0.7, None),
        (BUSY, None, None),
        (QUIET, 0.25, None),
    ],
)
def test_a_case_that_others_disturbed_is_neither_pass_nor_fail(
    made: MadeRun, slower: float, found: MachineRecord, limit: float | None, status: Status | None
) -> None:
    run = evidence(
        made,
        run=only(made.run, "single_request"),
        jobs=[msgspec.structs.replace(job, done=job.done + slower) for job in made.jobs],
        measurements=[*RECONCILED, measurement("response_time_p95", "single_request", "n01", value=0.1)],
    )
    run = replace(run, conditions=ConditionsRecord(others_limit=limit, machine=(found,)))
    (verdict,) = analyse(run, "performance").verdicts
    expected = status or (Status.FAIL if slower else Status.PASS)
    assert (verdict.status, verdict.reason) == (expected, REASON if status else "")
    problems = [problem for problem in analyse(run, "performance").problems if "other processes" in problem]
    assert problems == ([f"single_request / n01: {REASON}"] if status else [])


def test_a_run_without_the_record_is_judged_as_before(made: MadeRun) -> None:
    run = evidence(
        made,
        run=only(made.run, "single_request"),
        measurements=[*RECONCILED, measurement("response_time_p95", "single_request", "n01", value=0.1)],
    )
    assert [verdict.status for verdict in analyse(run, "performance").verdicts] == [Status.PASS]
    (block,) = machine.section(run, "performance").blocks
    assert block == Paragraph("What else the machine did was not recorded.")


def test_the_report_shows_the_machine_of_each_case(made: MadeRun) -> None:
    run = replace(evidence(made, run=only(made.run, "single_request")), conditions=ConditionsRecord(machine=(BUSY,)))
    lead, table = machine.section(run, "performance").blocks
    assert isinstance(lead, Paragraph)
    assert isinstance(table, Table)
    assert "**1 case disturbed**" in lead.text
    assert table.rows == (
        (
            "single_request / n01", "30.0", "62.0", "10.0", "0.0", "0.0", "12.0", "0.0", "0.0", "-", "2000 to 1800",
            "cc1plus 41 %",
        ),
    )  # fmt: skip


def test_a_busy_machine_is_named_before_the_run() -> None:
    line = warning(BUSY, {})
    assert line is not None
    assert line.startswith(f"warning: this machine is busy: {REASON}. ")
    assert warning(QUIET, {}) is None
    assert warning(BUSY, {"REELBENCH_OTHERS_LIMIT": "90%"}) is None
    assert warning(BUSY, {"REELBENCH_OTHERS_LIMIT": "none"}) is None
