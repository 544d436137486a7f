"""The summary of a run: is it fine, why not, what now; at most 40 lines and 6 KB, and 30 lines in the terminal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import FaultRecord, RunState
from reelbench.reporting.analysis.causes import causes
from reelbench.reporting.analysis.failures import groups
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.traces import TraceEvidence, TraceSpan
from reelbench.reporting.export import judge
from reelbench.reporting.render import markdown, terminal
from reelbench.reporting.results.outcome import RunResult
from reelbench.reporting.results.summary import Change, Summary
from reelbench.reporting.sections.summary.blocks import summary_report
from reelbench.suite import step_summary
from tests.reporting import made_foreign
from tests.reporting.evidence_of import NAME, ended, evidence, measurement
from tests.reporting.made_run import MadeRun

HOSTILE = "# <script>alert(1)</script> | [x](http://evil) **`\x1b[31m\n" * 9


def written(found: RunResult) -> str:
    """``summary.md``, after the check of its size and of the lines for the terminal."""
    text = markdown.render(found.head, charts=False, links=markdown.links((found.head, *found.reports)))
    assert len(text.splitlines()) <= 40
    assert len(text.encode()) <= 6000
    lines = terminal.lines(found.summary)
    assert len(lines) <= 30
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith(f"{found.status}: ")
    return text


def failing(made: MadeRun) -> Evidence:
    """20 jobs of which 12 failed with one error while a provider was away, and 2 were refused."""
    records = ended(made, "standard", (6, Outcome.COMPLETED), (12, Outcome.FAILED), (2, Outcome.REJECTED))
    case = records.run.scenarios[0].cases[0]
    assert case.started is not None
    fault = FaultRecord(
        scenario=NAME, case="n01", target="llm", kind="outage", rate=1.0, status=503, seconds=None,
        started=case.started - 1, ended=case.started + 1e6, seen=12, hit=12,
    )  # fmt: skip

    def with_error(job: JobRecord) -> JobRecord:
        if job.outcome is Outcome.FAILED:
            return msgspec.structs.replace(job, error=f"job video_{job.index:08x}ab: the llm provider answered 503")
        refused = job.outcome is Outcome.REJECTED
        return msgspec.structs.replace(job, accepted=None, error="HTTP 503") if refused else job

    jobs = tuple(with_error(job) for job in records.jobs)
    first = next(job for job in jobs if job.outcome is Outcome.FAILED)
    (scenario,) = records.run.scenarios
    assert scenario.store is not None
    store = msgspec.structs.replace(scenario.store, expected=18, found=18)
    scenario = msgspec.structs.replace(scenario, store=store)
    span = TraceSpan(first.due, first.done, "service", "video.job.stage script", "1", "", error="503")
    return dataclasses.replace(
        records,
        jobs=jobs,
        run=msgspec.structs.replace(records.run, faults=[fault], scenarios=[scenario]),
        traces=TraceEvidence(spans={first.trace_id: (span,)}),
    )


def test_failed_jobs_are_grouped_by_error_operation_stage_and_fault(made: MadeRun) -> None:
    records = failing(made)
    failed, refused = groups(records, "performance")
    assert (failed.jobs, failed.of, failed.operation, failed.stage, failed.fault) == (
        12, 20, "wait", "LLM script", "llm outage",
    )  # fmt: skip
    assert failed.error == "job …: the llm provider answered 503"  # the ids differ, the error does not
    assert failed.example.trace_id in records.traces.spans
    assert (refused.jobs, refused.operation, refused.outcome) == (2, "create", Outcome.REJECTED)


def test_a_failing_run_says_what_by_how_much_why_and_what_now(made: MadeRun) -> None:
    found = judge(failing(made))
    text = written(found)
    summary = found.summary
    assert (summary.verdict, summary.exit_code, summary.jobs) == (Status.FAIL, 1, 20)
    assert summary.sentence == "1 of 1 objective violated, and the samples prove it."
    (finding,) = summary.findings
    assert (finding.sli, finding.value, finding.objective, finding.n) == ("success_rate", 0.3, 0.95, 20)
    assert finding.excess == "65 points below"
    assert finding.why == (
        "12 of 20 jobs failed, in wait, stage LLM script, during the fault llm outage: "
        "job …: the llm provider answered 503"
    )
    example = groups(failing(made), "performance")[0].example
    assert summary.actions[0] == (
        "Find out why jobs of single_request / n01 fail in stage LLM script under the fault llm outage: "
        f"start with trace `{example.trace_id}` (performance report, section Why)."
    )
    assert "**Verdict: FAIL**" in text
    assert "[performance](performance_report.md)" in text
    row = next(line for line in text.splitlines() if line.startswith("| **FAIL**"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:6] == [
        "Success rate", "single_request / n01", "30 % (n = 20)", "≥ 95 %", "65 points below",
    ]  # fmt: skip


def test_a_passing_run_says_how_sure_it_is(made: MadeRun) -> None:
    found = judge(ended(made, "standard", (72, Outcome.COMPLETED)))
    text = written(found)
    assert found.summary.sentence == "1 of 1 objective holds, 1 of them proven."
    assert "No objective is violated, none lacks data" in text
    (one,) = found.summary.dimensions
    assert (one.objectives, one.by_status, one.by_certainty) == (1, {"PASS": 1}, {"holds, proven": 1})
    figures = {figure.name: figure for figure in found.summary.figures}
    assert figures["Success rate of single requests"].value == 1.0
    assert figures["P95 of a single request"].n == 72
    assert found.summary.actions == (
        (
            "Keep this run as the baseline, and compare the next one with it: "
            f"`reelbench report --compare runs/{made.run.run_id}`."
        ),
    )


def test_a_small_sample_leads_to_a_larger_profile(made: MadeRun) -> None:
    found = judge(ended(made, "quick", (8, Outcome.COMPLETED)))
    written(found)
    assert (found.summary.verdict, found.exit_code) == (Status.INCONCLUSIVE, 0)
    assert (
        found.summary.sentence == "the only objective holds with too few samples to decide, which this profile allows."
    )
    assert found.summary.actions[0] == (
        "Run `reelbench run --profile standard`: 1 objective has too few samples to decide."
    )


def test_a_violation_that_is_not_proven_is_named(made: MadeRun) -> None:
    found = judge(ended(made, "quick", (4, Outcome.COMPLETED), (1, Outcome.FAILED)))
    text = written(found)
    (finding,) = found.summary.findings
    assert (finding.verdict, str(finding.certainty)) == (Status.INCONCLUSIVE, "violated, not proven")
    assert "**INCONCLUSIVE**" in text


def test_a_slow_generator_is_the_first_thing_to_change(made: MadeRun) -> None:
    records = ended(made, "standard", (72, Outcome.COMPLETED))
    (scenario,) = records.run.scenarios
    case = msgspec.structs.replace(scenario.cases[0], generator_cpu=1.5)
    run = msgspec.structs.replace(records.run, scenarios=[msgspec.structs.replace(scenario, cases=[case])])
    found = judge(dataclasses.replace(records, run=run))
    text = written(found)
    assert found.summary.verdict is Status.INVALID
    assert found.summary.problems
    assert found.summary.problems[0] in text.replace("\\", "")
    assert found.summary.actions[0].startswith("Give the load generator more CPU")


def test_an_interrupted_run_says_so_and_is_to_be_run_again(made: MadeRun) -> None:
    records = ended(made, "standard", (72, Outcome.COMPLETED))
    run = msgspec.structs.replace(records.run, state=RunState.INTERRUPTED)
    found = judge(dataclasses.replace(records, run=run))
    assert "The run holds what was measured until its end." in written(found)
    assert found.summary.state == "interrupted"
    assert found.summary.actions[0].startswith("Run the plan to its end")


def test_a_server_of_another_maker_is_named_with_its_figures() -> None:
    made = made_foreign.make()
    found = judge(evidence(made, service=False))
    text = written(found)
    assert found.summary.target == "vLLM-Omni at http://192.0.2.1:8000"
    assert "vLLM-Omni at http://192.0.2.1:8000" in text.replace("\\", "")
    names = [figure.name for figure in found.summary.figures]
    assert "Success rate without faults" in names
    assert "Cost of 1,000 jobs" not in names  # the price list is for the service of this project


def test_a_run_without_any_job_has_a_summary(made: MadeRun) -> None:
    run = msgspec.structs.replace(made.run, scenarios=[], ended=None, state=RunState.FAILED)
    found = judge(evidence(made, run=run, jobs=[]))
    assert "**Verdict: INCONCLUSIVE**" in written(found)  # the run did not end
    assert found.summary.figures == ()


@pytest.mark.parametrize("copies", [1, 60])
def test_no_run_is_too_large_and_no_text_becomes_markup(made: MadeRun, copies: int) -> None:
    found = judge(failing(made))
    one = found.summary
    long = msgspec.structs.replace(
        one,
        target=HOSTILE,
        sentence=HOSTILE,
        findings=tuple(
            msgspec.structs.replace(finding, title=HOSTILE, case=HOSTILE, why=HOSTILE)
            for finding in one.findings * copies
        ),
        problems=(HOSTILE,) * copies,
        notes=(HOSTILE,) * copies,
        actions=(HOSTILE,) * 3,
        dimensions=one.dimensions * 3,
        change=Change(baseline=HOSTILE, sentence=HOSTILE, better=1, worse=2, differs=3),
        figures=tuple(msgspec.structs.replace(figure, name=HOSTILE, where=HOSTILE) for figure in (one.figures * 5)[:5]),
    )
    text = written(msgspec.structs.replace(found, summary=long, head=summary_report(long)))
    assert "<script>" not in text.replace("\\<script", "")
    assert "\x1b" not in text
    assert "[x](" not in text.replace("\\[x\\](", "")
    assert all(len(line) <= 2000 for line in text.splitlines())


def test_the_summary_is_in_the_results(made: MadeRun) -> None:
    summary = judge(failing(made)).summary
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary


def test_the_page_of_a_workflow_gets_the_summary_without_links_to_files(tmp_path: Path) -> None:
    summary, page = tmp_path / "summary.md", tmp_path / "page"
    summary.write_text("| [performance](performance_report.md) | [queries](appendix.md#queries) |\n")
    page.write_text("before\n")
    paths = [tmp_path / "measurements.json", summary]
    step_summary.append(paths, {})
    assert page.read_text() == "before\n"
    step_summary.append(paths, {"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text() == "before\n| performance | queries |\n\n"


def test_a_latency_names_the_slowest_part(made: MadeRun) -> None:
    case = next(s for s in made.run.scenarios if s.name == NAME).cases[0]
    slow = [measurement("response_time_p95", NAME, "n01", value=9.0, n=72)]
    records = ended(made, "standard", (72, Outcome.COMPLETED), more=slow)
    jobs = tuple(msgspec.structs.replace(job, done=job.due + 9.0) for job in records.jobs)
    spans = {
        job.trace_id: (
            TraceSpan(job.due, job.done, "loadgen", "loadgen.job", "1", ""),
            TraceSpan(job.due, job.done, "service", "video.job", "2", "1"),
            TraceSpan(job.due, job.due + 7.0, "service", "video.job.stage visual", "3", "2"),
        )
        for job in jobs
    }
    found = judge(dataclasses.replace(records, jobs=jobs, traces=TraceEvidence(spans=spans, per_case=500)))
    (finding,) = [one for one in found.summary.findings if one.sli == "response_time_p95"]
    assert (finding.scenario, finding.case, finding.excess) == (NAME, case.name, "4.5 times the objective")
    assert finding.why == "Visuals takes 7 s of 9 s (78 %, n = 72 traces)"
    assert "Make Visuals faster: it takes longest in single_request / n01 (section Where the time goes)." in (
        found.summary.actions
    )


def test_a_feature_that_was_off_is_the_cause_of_what_needs_it(outages: MadeRun) -> None:
    def cause(*, retries: bool) -> str:
        run = msgspec.structs.replace(outages.run, switches={**(outages.run.switches or {}), "retries": retries})
        rate = measurement("recovery_rate", "tts_failures", member="tts", value=0.1, n=100)
        known = evidence(outages, run=run, measurements=[rate])
        (found,) = (
            one for one in causes(known, analyse(known, "reliability"), "reliability") if one.verdict.value == 0.1
        )
        return found.why

    assert cause(retries=False) == "the service ran without retries"
    assert "without retries" not in cause(retries=True)
