"""Reports on servers of other makers: what is not known is unknown, and no sentence claims a loss that was not one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ServerRecord, StoreCount
from reelbench.loadgen.record.videos import Property, VideoRecord
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.job_fates import cancellations, fates
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.reconciliation import reconcile
from reelbench.reporting.analysis.verdicts import NOT_PROVEN, Status, analyse
from reelbench.reporting.export import Exported, export
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence, measurement
from tests.reporting.made_foreign import CANCEL, CASE, FOREIGN, NORMAL, job, make, video, write
from tests.reporting.made_run import MadeRun

NO_LIST = StoreCount(expected=40, found=0, by_status={}, error=None, offered=False)
OWN_WORDS = ("breaker", "sha256", "LLM", "TTS", "our mock", "orphan", "Unsaved")
"""Parts of the service of this project, of which the report of another server must not speak in its findings."""


def changed(**fields: object) -> Callable[[JobRecord], JobRecord]:
    return lambda job: msgspec.structs.replace(job, **fields)


def first(number: int, **fields: object) -> Callable[[JobRecord], JobRecord]:
    """Change the first jobs alone."""
    return lambda job: msgspec.structs.replace(job, **fields) if job.index < number else job


def exported(made: MadeRun, folder: Path, videos: Sequence[VideoRecord] = ()) -> tuple[Exported, str]:
    run = write(made, folder / "run", videos)
    done = export(run, None, charts=False)
    (name,) = {path.name for path in done.paths if path.name.endswith("_report.md")}
    return done, report_text(run, name.removesuffix("_report.md"))


def counts(made: MadeRun, scenario: str = NORMAL) -> dict[str, tuple[str, int | None, str]]:
    """Expected and found counts of the reconciliation, by source."""
    (found,) = [r for r in reconcile(evidence(made, service=False), "reliability") if r.scenario == scenario]
    return {count.source: (count.expected, count.found, count.note) for count in found.counts}


def claims_of_loss(text: str) -> list[str]:
    """Sentences that say that jobs were lost, and table rows with a lost job."""
    rows = [line for line in text.splitlines() if re.match(r"\|\s*lost\s*\|\s*[1-9]", line)]
    said = re.findall(r"[1-9][\d,]* (?:of [\d,]+ )?(?:accepted )?(?:jobs|ones) (?:were )?lost", text)
    return rows + said + re.findall(r"Accepted jobs lost in \S+ [1-9][^\n]*", text)


def verdicts(done: Exported) -> dict[tuple[str, str], Status]:
    return {(v.sli.id, v.scenario): v.status for v in done.verdicts}


def test_without_a_list_losses_are_unknown_and_not_judged(tmp_path: Path) -> None:
    made = make(store=NO_LIST)
    found = losses(evidence(made, service=False), NORMAL)
    assert (found.lost, found.unknown, found.expected, found.unlisted, found.unread) == (
        None, 40, 0, ("normal_operation (the server has no complete list of jobs)",), (),
    )  # fmt: skip
    done, text = exported(made, tmp_path)
    assert claims_of_loss(text) == []
    assert ("jobs_lost", NORMAL) not in verdicts(done)
    assert found.witnessed == 40
    assert "unknown without a complete list of jobs: normal_operation (the server has no complete list" in text
    assert "Unknown, and not counted as lost: 40 accepted jobs" in text
    assert re.search(r"\| lost +\| +- \| +- \|", text)
    assert counts(made)["store"] == ("40", None, "not available: the server has no complete list of jobs")
    assert text.split("# Appendix of run")[0].count("Accepted jobs lost") == 1
    assert "Not judged: Accepted jobs lost: unknown, as the server has no complete list of jobs (in normal_o" in text


def test_jobs_that_the_server_removed_are_not_lost(tmp_path: Path) -> None:
    gone = {"outcome": Outcome.FAILED, "bytes": 0, "error": "the job was deleted"}
    made = make(
        normal=lambda job: msgspec.structs.replace(
            job, reported="deleted" if job.index < 2 else "Expired", **gone) if job.index < 3 else job,
        store=StoreCount(expected=40, found=37, by_status={"completed": 37}, error=None),
    )  # fmt: skip
    found = losses(evidence(made, service=False), NORMAL)
    assert (found.lost, found.unknown) == (0, 3)
    assert fates(evidence(made), NORMAL).removed == 3
    done, text = exported(made, tmp_path)
    assert claims_of_loss(text) == []
    assert verdicts(done)["jobs_lost", NORMAL] is Status.PASS
    assert "by its own word: 3 jobs" in text
    assert counts(made)["store"] == ("37 to 40", 37, "")
    assert not any("store" in problem for problem in done.problems)


def test_a_list_that_lacks_a_job_beyond_the_removed_ones_shows_a_loss(tmp_path: Path) -> None:
    made = make(
        normal=first(3, outcome=Outcome.FAILED, reported="expired", bytes=0, error="expired"),
        store=StoreCount(expected=40, found=35, by_status={"completed": 35}, error=None),
    )
    found = losses(evidence(made, service=False), NORMAL)
    assert (found.lost, found.unknown) == (2, 3)
    done, text = exported(made, tmp_path)
    assert verdicts(done)["jobs_lost", NORMAL] is Status.FAIL
    assert done.exit_code == 1
    assert "**2 of 40 accepted jobs were lost:**" in text
    assert [line for line in claims_of_loss(text) if line.startswith("|")]


@pytest.mark.extended
def test_a_job_that_the_list_shows_without_an_end_is_lost_unless_the_client_gave_it_up() -> None:
    listed = StoreCount(expected=40, found=40, by_status={"completed": 38, "in_progress": 2}, error=None)
    assert losses(evidence(make(store=listed)), NORMAL).lost == 2
    late = {"outcome": Outcome.TIMEOUT, "bytes": 0, "error": "not finished after 60 s"}
    given_up = make(normal=first(2, given_up="not_offered", **late), store=listed)
    found = losses(evidence(given_up), NORMAL)
    assert (found.lost, found.unknown, found.unended) == (0, 2, 2)
    refused = {"outcome": Outcome.ERROR, "bytes": 0, "error": "HTTP 409", "ended": None}
    left = losses(evidence(make(normal=first(2, cancel_sent=1.0, **refused), store=listed)), NORMAL)
    assert (left.lost, left.unknown) == (0, 2)


@pytest.mark.extended
@pytest.mark.parametrize("status", [405, 409, 500])
def test_a_refused_cancellation_is_no_end_and_no_loss(tmp_path: Path, status: int) -> None:
    def refused(job: JobRecord) -> JobRecord:
        sent = job.due + 1
        return msgspec.structs.replace(
            job, cancel_sent=sent, done=sent + 0.1, outcome=Outcome.ERROR, error=f"HTTP {status}", bytes=0,
            reported="in_progress",
        )  # fmt: skip

    made = make(cancelled=refused)
    tried = cancellations(evidence(made), CANCEL)
    assert (len(tried.asked), len(tried.stopped), len(tried.ended), len(tried.refused)) == (20, 0, 0, 20)
    assert tried.statuses == {f"HTTP {status}": 20}
    done, text = exported(made, tmp_path)
    section = text.split("## Cancellation")[1].split("\n## ")[0]
    assert "0 of 20 jobs were cancelled in progress; 0 had already ended." in section
    assert f"20 jobs could not be cancelled (answers to the cancellations: 20 x HTTP {status})" in section
    assert "**20 of 20 jobs could not be cancelled:**" in text
    assert claims_of_loss(text) == []
    assert verdicts(done)["jobs_lost", NORMAL] is Status.PASS


def test_a_cancelled_job_that_is_still_shown_is_no_leftover_of_another_server(tmp_path: Path) -> None:
    def cancelled(job: JobRecord) -> JobRecord:
        sent = job.due + 1
        ends = {"cancel_sent": sent, "done": sent + 0.1, "bytes": 0, "leftover": True, "reported": "cancelled"}
        if job.index >= 18:
            return msgspec.structs.replace(job, outcome=Outcome.COMPLETED, cancel_sent=sent, done=sent + 0.1)
        return msgspec.structs.replace(job, outcome=Outcome.CANCELLED, **ends)

    made = make(cancelled=cancelled)
    _, text = exported(made, tmp_path)
    assert "18 of 20 jobs were cancelled in progress; 2 had already ended." in text
    assert "a server may keep the record of a cancelled job, so this is no violation" in text
    assert "still shown afterwards" not in text
    assert "cancelled jobs without leftovers" not in text
    assert "service, work stopped" not in text


def test_throttled_requests_have_their_number(tmp_path: Path) -> None:
    made = make(normal=first(5, throttled=3))
    found = fates(evidence(made), NORMAL)
    assert (found.throttled, found.throttled_jobs) == (15, 5)
    done, text = exported(made, tmp_path)
    assert "Throttled (429, or 503 with a time to wait): 15 requests of 5 jobs." in text
    assert "**15 requests were throttled:**" in text
    assert claims_of_loss(text) == []
    assert verdicts(done)["jobs_lost", NORMAL] is Status.PASS


def test_jobs_given_up_at_the_time_limit_have_their_number_by_what_followed(tmp_path: Path) -> None:
    ways = ["cancelled", "cancelled", "not_cancelled", "not_offered"]

    def late(job: JobRecord) -> JobRecord:
        if job.index >= len(ways):
            return job
        ends = {"outcome": Outcome.TIMEOUT, "bytes": 0, "error": "not finished after 60 s", "reported": "running"}
        return msgspec.structs.replace(job, given_up=ways[job.index], **ends)

    made = make(
        normal=late,
        store=StoreCount(expected=40, found=38, by_status={"completed": 36, "in_progress": 2}, error=None),
    )
    known = evidence(made, service=False)
    found = fates(known, NORMAL)
    assert (found.given_up, found.cancelled_late, found.cancel_failed, found.cancel_absent) == (4, 2, 1, 1)
    kept = losses(known, NORMAL)
    assert (kept.lost, kept.unknown, kept.unended) == (0, 4, 4)
    done, text = exported(made, tmp_path)
    assert claims_of_loss(text) == []
    assert "**4 of 40 jobs** (2 then cancelled at the server, 1 not cancelled, as the server refused" in text
    assert verdicts(done)["jobs_lost", NORMAL] is Status.PASS
    assert "raise the limit (`--time-limit`)" in text
    assert counts(made)["store"] == ("38 to 40", 38, "")


def test_a_synchronous_server_without_anything_else_is_described_by_what_the_client_saw(tmp_path: Path) -> None:
    server = msgspec.structs.replace(
        FOREIGN, name="dynamo", synchronous=True, offers={"list": False, "delete": False, "cancel": False}
    )
    made = make(
        normal=lambda job: msgspec.structs.replace(job, accepted=job.done - 0.1, ended=job.done - 0.1, reported=None,
                                                   poll_gap=None),
        store=NO_LIST,
        server=server,
    )  # fmt: skip
    done, text = exported(made, tmp_path, [video(job(NORMAL, i)) for i in range(20)])
    assert claims_of_loss(text) == []
    findings = text.split("# Appendix of run")[0]
    assert [word for word in OWN_WORDS if word in findings.split("## Reliability score")[0].split("## Key metrics")[1]
            .split("## Objectives")[1]] == []  # fmt: skip
    assert verdicts(done)["integrity_share", NORMAL] is Status.PASS
    assert "Files decoded: 20 (at most 20 of each case, drawn by the seed)." in text
    assert "Audit after" not in text
    assert set(verdicts(done).values()) <= {Status.PASS, Status.NO_DATA}  # no Prometheus: success rate has no data


def test_without_opened_files_and_manifests_integrity_is_not_judged(tmp_path: Path) -> None:
    done, text = exported(make(), tmp_path)
    assert ("integrity_share", NORMAL) not in verdicts(done)
    assert re.search(r"\| broken +\| +- \| +- \|", text)


def test_a_job_with_a_broken_file_is_no_success_in_records_and_verdict(tmp_path: Path) -> None:
    made = make()
    videos = [
        video(job(NORMAL, i), *([(Property.DECODES, "no frame can be decoded", "")] if i < 3 else []))
        for i in range(20)
    ]
    measured = [
        measurement("client_jobs", NORMAL, member="completed", value=40),
        measurement("success_rate", NORMAL, CASE, value=1.0, n=40),
    ]
    known = evidence(made, measurements=measured, service=False, videos=videos)
    (judged,) = [v for v in analyse(known, "reliability").verdicts if v.sli.id == "success_rate"]
    assert (judged.value, judged.n, judged.status) == (pytest.approx(37 / 40), 40, Status.INCONCLUSIVE)
    assert judged.certainty is Certainty.VIOLATED
    assert judged.reason == f"{NOT_PROVEN}; without 3 jobs with files that do not decode"
    found = losses(known, NORMAL)
    assert (found.broken, found.decoded, found.damaged, found.checked) == (3, 20, 3, 20)
    done, text = exported(made, tmp_path, videos)
    row = re.search(r"\| normal_operation / n04 +\|([^\n]*)", text.split("## Success rate")[1])
    assert row is not None
    cells = [cell.strip() for cell in row[1].split("|")]
    assert cells[:2] == ["40", "40"]
    assert cells[-4] == "3"
    assert cells[-3].startswith("92.5 (")
    assert "Integrity in `normal_operation`: **85.0 %**" in text
    assert (
        verdicts(done)["integrity_share", NORMAL] is Status.INCONCLUSIVE
    )  # 17 of 20 is below 90 %, and may be by chance
    assert "**3 of 20 opened files are broken or empty:**" in text
    assert text.count("no frame can be decoded") >= 3
    assert made.jobs[0].trace_id in text
    assert counts(made)["store"] == ("40", 40, "")  # the protocol's outcome is what sources agree on


def test_a_list_that_was_not_read_is_said(tmp_path: Path) -> None:
    failed = StoreCount(expected=40, found=0, by_status={}, error="HTTP 500", offered=True)
    done, text = exported(make(store=failed), tmp_path)
    assert claims_of_loss(text) == []
    assert verdicts(done)["jobs_lost", NORMAL] is Status.NO_DATA
    assert "The list of videos was not read in normal_operation (HTTP 500): losses there are not known." in text


def test_words_of_the_server_are_shown_with_how_they_were_understood(tmp_path: Path) -> None:
    made = make(normal=first(4, outcome=Outcome.FAILED, reported="moderation_blocked", bytes=0, error="blocked"))
    _, text = exported(made, tmp_path)
    assert re.search(r"\| normal_operation +\| failed +\| moderation_blocked +\| +4 \|", text)


def test_a_performance_report_says_the_polling_error_and_nothing_of_what_did_not_run(tmp_path: Path) -> None:
    made = make(dimension="performance", server=msgspec.structs.replace(FOREIGN, offers={"list": True, "wait": False}))
    scenario = msgspec.structs.replace(made.run.scenarios[0], name="single_request")
    (case,) = scenario.cases
    alone = msgspec.structs.replace(case, name="n01", concurrency=1)
    jobs = [msgspec.structs.replace(one, scenario="single_request", case="n01") for one in made.jobs]
    run = msgspec.structs.replace(
        made.run,
        scenarios=[msgspec.structs.replace(scenario, cases=[alone])],
        objectives={"response_time_p95": 120.0},
    )
    made.run, made.jobs = run, jobs
    _, text = exported(made, tmp_path)
    error = "Polling error: a single request ended up to **2.000 s** before the client saw it (n = 40)"
    assert f"- {error}; that is much of the response time, so measure again with a shorter `--poll-interval`." in text
    assert "- Success rate at 1 in flight (single_request): **100.0 %**" in text
    assert re.search(r"\| Server +\| vLLM-Omni \(target file `vllm_omni`\), model wan", text)
    assert re.search(r"\| Operations +\| has list; does not have wait ", text)
    assert not re.findall("No scenario of this run|No open case", text)
    assert "answered within 2 s" not in text.partition(": Queries\n")[0]
    assert "the cost of a job needs the price of a GPU (`--gpu-hour-price`)" in text


def test_a_service_of_this_project_keeps_its_sections(tmp_path: Path) -> None:
    made = make(server=ServerRecord(name="found", title="Reelbench", ours=True, model=None))
    _, text = exported(made, tmp_path)
    assert "## Circuit breaker" in text
    assert "## Store outage" in text
    _, foreign = exported(make(), tmp_path / "foreign")
    assert "## Circuit breaker" not in foreign
    assert "## Store outage" not in foreign
    assert "## Error recovery" not in foreign


def test_a_list_that_shows_a_part_of_the_jobs_leaves_open_only_the_others(tmp_path: Path) -> None:
    why = "the list lacks 3 jobs: the server removes jobs that have ended"
    part = StoreCount(expected=40, found=37, by_status={"completed": 37}, error=why, offered=False)
    made = make(store=part)
    found = losses(evidence(made, service=False), NORMAL)
    assert (found.lost, found.unknown, found.unlisted) == (None, 3, (f"{NORMAL} ({why})",))
    _, text = exported(made, tmp_path)
    assert claims_of_loss(text) == []
    assert "Unknown, and not counted as lost: 3 accepted jobs" in text
    assert counts(made)["store"] == ("40", None, f"not available: {why}")


def test_jobs_whose_cancellation_was_never_sent_are_counted_with_the_reason(tmp_path: Path) -> None:
    def cancel(job: JobRecord) -> JobRecord:
        sent = job.due + 1
        if job.index >= 2:
            return msgspec.structs.replace(job, outcome=Outcome.ERROR, error="the server cannot cancel jobs", bytes=0)
        return msgspec.structs.replace(
            job, cancel_sent=sent, done=sent + 0.1, outcome=Outcome.ERROR, error="HTTP 405", bytes=0
        )

    made = make(cancelled=cancel)
    tried = cancellations(evidence(made), CANCEL)
    assert (len(tried.asked), len(tried.refused), len(tried.unasked)) == (2, 2, 18)
    _, text = exported(made, tmp_path)
    assert "For 18 jobs no cancellation was sent: the server cannot cancel jobs (18)." in text
    assert "2 jobs could not be cancelled (answers to the cancellations: 2 x HTTP 405)" in text


def test_a_file_that_is_empty_is_broken_although_the_job_has_no_success_anyway(tmp_path: Path) -> None:
    made = make(normal=first(4, outcome=Outcome.ERROR, error="content is empty", bytes=0))
    files = [
        video(made.jobs[i], *([(Property.DECODES, "content is empty", "")] if i < 4 else []), bytes=made.jobs[i].bytes)
        for i in range(25)
    ]
    found = losses(evidence(made, videos=files), NORMAL)
    assert (found.broken, found.decoded, found.damaged, found.checked) == (4, 25, 4, 25)
    done, text = exported(made, tmp_path, files)
    assert "Integrity in `normal_operation`: **84.0 %**" in text
    assert "25 of 40 (at most 20" in text
    assert "**4 of 25 opened files are broken or empty:**" in text
    assert "File broken" not in text  # these jobs are errors already
    assert verdicts(done)["integrity_share", NORMAL] is Status.INCONCLUSIVE  # 21 of 25: below 90 %, not proven


def test_cases_without_cancellations_are_not_part_of_the_cancellations() -> None:
    made = make(cancelled=lambda job: msgspec.structs.replace(
        job, case="storm" if job.index < 8 else CASE, outcome=Outcome.CANCELLED if job.index < 8 else job.outcome,
        cancel_sent=job.due + 1 if job.index < 8 else None))  # fmt: skip
    tried = cancellations(evidence(made), CANCEL)
    assert (tried.jobs, len(tried.stopped), len(tried.unasked)) == (8, 8, 0)
