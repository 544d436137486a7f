"""Sections on the downloaded files, from made records."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome, ServerTimes
from reelbench.loadgen.record.videos import Property
from reelbench.reporting.analysis.video_files import opened_files
from reelbench.reporting.analysis.video_speed import attainments, repetitions, speeds, times
from reelbench.reporting.export import export
from reelbench.reporting.sections import video_files
from reelbench.reporting.sections.performance import videos as section_videos
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence
from tests.reporting.made_foreign import CASE, NORMAL, job, make, video, write
from tests.reporting.made_run import MadeRun

SIZE = (Property.SIZE, "480x832", "720x1280")
LENGTH = (Property.LENGTH, "2.00 s", "4 s")
BROKEN = (Property.DECODES, "no frame can be decoded", "")


def jobs(number: int = 20) -> list[JobRecord]:
    return [job(NORMAL, index) for index in range(number)]


def test_shares_by_property_and_the_one_that_the_server_never_follows() -> None:
    made = make()
    files = [
        video(one, SIZE, *([LENGTH] if one.index < 2 else [])) for one in jobs()[:19]
    ] + [video(jobs()[19], BROKEN, asked=[])]  # fmt: skip
    found = opened_files(evidence(made, videos=files), "reliability")
    assert (len(found.opened), found.completed) == (20, 40)
    assert {one.kind: (one.share.k, one.share.n, one.never) for one in found.properties} == {
        Property.DECODES: (19, 20, False),
        Property.LENGTH: (17, 19, False),
        Property.SIZE: (0, 19, True),
    }
    assert [one.otherwise for one in found.never] == [(("480x832", "720x1280", 19),)]
    assert [one.job.index for one in found.wrong] == [19, 0, 1]
    assert found.good is not None
    assert (found.good.k, found.good.n) == (17, 20)


def test_reasons_are_counted_without_ids_and_numbers() -> None:
    reasons = [
        "HTTP 404: no video_1",
        "HTTP 404: no video_2",
        "after 3 frames: damaged",
        "after 17 frames: damaged",
        "x",
    ]
    files = [video(one, (Property.DECODES, why, ""), asked=[]) for one, why in zip(jobs(5), reasons, strict=True)]
    (found,) = opened_files(evidence(make(), videos=files), "reliability").properties
    assert found.otherwise == (("no file (HTTP 404)", "", 2), ("after n frames: damaged", "", 2), ("x", "", 1))


def test_one_file_is_not_enough_to_say_what_a_server_follows() -> None:
    found = opened_files(evidence(make(), videos=[video(jobs()[0], SIZE)]), "reliability")
    assert found.never == ()
    assert len(found.wrong) == 1


def test_the_report_names_wrong_files_with_job_reason_and_trace(tmp_path: Path) -> None:
    files = [video(one, SIZE, kept="a_b.mp4" if one.index == 0 else None) for one in jobs()[:7]]
    files += [video(one) for one in jobs()[7:19]] + [video(jobs()[19], BROKEN, codec=None)]
    run = write(make(), tmp_path / "run", files)
    export(run, None, charts=False)
    text = report_text(run, "reliability").split("### Files as asked")[1].split("\n## ")[0]
    assert "20 of 40 (at most 20 of each case, drawn by the seed; `--check-videos`)" in text
    assert "h264 in mp4 (19). With sound: 0 of 20." in text
    assert "As asked in everything: **60.0 %** (95 % CI 36.1 to 80.9 %, 12 of 20)" in text
    rows = [line for line in text.splitlines() if line.startswith("| normal_operation / n04")]
    assert len(rows) == video_files.EXAMPLES
    assert "does not decode: no frame can be decoded" in rows[0]
    assert jobs()[19].trace_id in rows[0]
    assert "size of the picture: 480x832, asked 720x1280" in rows[1]
    assert "a_b.mp4" in rows[1]
    assert "Files that are not as asked, 8 in all" in text


def test_mark_up_of_a_file_is_escaped(tmp_path: Path) -> None:
    files = [video(jobs()[0], (Property.DECODES, "<b>*|*</b>", ""), codec="`x`"), video(jobs()[1])]
    run = write(make(), tmp_path / "run", files)
    export(run, None, charts=False)
    assert "<b>" not in report_text(run, "reliability")


def test_files_that_were_not_opened_are_said_and_old_runs_have_no_section() -> None:
    made = make()
    none = msgspec.structs.replace(made.run, check_videos=0)
    found = video_files.section(evidence(made, run=none), "reliability")
    assert found is not None
    assert found.blocks[0].text == "No downloaded file was opened (`--check-videos 0`)."
    old = msgspec.structs.replace(made.run, check_videos=None)
    assert video_files.section(evidence(made, run=old), "reliability") is None


def performance(**more: object) -> MadeRun:
    return make(dimension="performance", **more)  # type: ignore[arg-type]


def test_speed_is_that_of_the_opened_files_times_all_videos() -> None:
    """40 jobs, one sent every 5 s, reported done after 7 s, each with 96 frames in 4 s: 0.2 videos per second."""
    made = performance(normal=lambda one: msgspec.structs.replace(one, server=ServerTimes(inference=6.0)))
    (found,) = speeds(evidence(made, jobs=made.jobs, videos=[video(one) for one in jobs(10)]), "performance")
    assert (found.videos, found.opened) == (40, 10)
    assert found.frames == pytest.approx(0.2 * 96)
    assert found.seconds == pytest.approx(0.2 * 4)
    assert found.factors.p50.value == pytest.approx((7 - 0.001) / 4)
    assert found.own is not None
    assert found.own.p50.value == pytest.approx(1.5)
    assert found.byte_rate == pytest.approx(5000 / 4)


def test_broken_and_failed_jobs_make_no_video() -> None:
    made = performance(
        normal=lambda one: msgspec.structs.replace(one, outcome=Outcome.FAILED) if one.index >= 30 else one
    )
    files = [video(one, *([BROKEN] if one.index < 5 else [])) for one in jobs(10)]
    (found,) = speeds(evidence(made, videos=files), "performance")
    assert (found.videos, found.opened) == (25, 5)
    assert found.frames == pytest.approx(25 * 96 / 170)  # 25 of the 34 jobs that end in the 170 s of the steady part


def test_the_end_of_a_job_is_that_of_the_report_and_that_of_the_file() -> None:
    made = performance(normal=lambda one: msgspec.structs.replace(one, poll_gap=2.0 + one.index / 100))
    (found,) = times(evidence(made), "performance")
    assert found.reported.p50.value == pytest.approx(6.999)
    assert found.read.p50.value == pytest.approx(7.999)
    assert found.poll_gap == pytest.approx(2.39)
    unreported = performance(normal=lambda one: msgspec.structs.replace(one, ended=None))
    assert times(evidence(unreported), "performance") == ()


def test_attainment_counts_failed_and_broken_jobs_as_misses() -> None:
    def slow(one: JobRecord) -> JobRecord:
        if one.index == 0:
            return msgspec.structs.replace(one, outcome=Outcome.FAILED)
        return msgspec.structs.replace(one, done=one.due + (9.0 if one.index < 5 else 8.0))

    made = performance(normal=slow)
    (scenario,) = made.run.scenarios
    judged = msgspec.structs.replace(scenario, objectives={"response_time_p95": 8.5})
    run = msgspec.structs.replace(made.run, scenarios=[judged])
    known = evidence(made, run=run, videos=[video(made.jobs[5], BROKEN)])
    (found,) = attainments(known, "performance")
    assert (found.limit, found.share.k, found.share.n) == (
        8.5,
        32,
        34,
    )  # five of 40 miss, one of them in the steady part
    assert found.goodput == pytest.approx(32 / 170, rel=0.01)
    assert attainments(evidence(made), "performance") == ()  # the limit of 2 s judges the service of this project


def repeating(seconds: float) -> MadeRun:
    """40 new prompts of 8 s, then the same ones again."""
    made = performance()
    again = [
        msgspec.structs.replace(one, case="again", done=one.due + seconds + one.index % 3 / 10) for one in made.jobs
    ]
    (scenario,) = made.run.scenarios
    repeated = msgspec.structs.replace(scenario.cases[0], name="again", prompts="repeated")
    run = msgspec.structs.replace(
        made.run, scenarios=[msgspec.structs.replace(scenario, cases=[*scenario.cases, repeated])]
    )
    return MadeRun(run, [*made.jobs, *again], [], made.series, made.instant)


@pytest.mark.extended
@pytest.mark.parametrize(("seconds", "cached"), [(7.3, False), (7.0, True), (0.5, True), (8.0, False)])
def test_repeated_requests_must_not_be_more_than_a_tenth_faster(seconds: float, cached: bool) -> None:  # noqa: FBT001
    known = evidence(repeating(seconds))
    (found,) = repetitions(known, "performance")
    assert (found.new, found.repeated, found.distinct.n, found.again.n) == (CASE, "again", 40, 40)
    assert (found.faster > 0.1) is cached
    section = section_videos.caching_check(known, "performance")  # type: ignore[arg-type]
    assert section is not None
    assert ("a cache answers" in section.blocks[0].text) is cached


def test_the_performance_report_has_the_figures(tmp_path: Path) -> None:
    run = write(performance(), tmp_path / "run", [video(one) for one in jobs(10)])
    export(run, None, charts=False)
    text = report_text(run, "performance").split("## Video throughput")[1].split("\n## ")[0]
    row = re.search(r"\| normal_operation / n04 \|([^\n]*)", text)
    assert row is not None
    cells = [cell.strip() for cell in row[1].strip("|").split("|")]
    assert cells == ["40", "10", "19.20", "0.80", "1.750", "1.750", "1.2"]
    assert "Polling error ≤" in text
    assert "### Files as asked" in text
