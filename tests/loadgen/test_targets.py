"""The load generator against servers of every manner: outcomes, counts and losses agree with what the server knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import read_run
from tests.fakes.clip import ClipSpec
from tests.fakes.generation import Load
from tests.fakes.manners import SERVERS, SWITCHES, manner
from tests.fakes.server import Fake
from tests.fakes.serving import serving
from tests.loadgen.target_runs import JOBS, TargetRun, assert_agreement, run_against, scenario

WAIT = {"retry_after": "0.1"}
"""Seconds that a refusing server asks for, so that tests do not wait for a second each time."""
LISTS = {"openai", "vllm_omni", "sglang", "tensorrt_llm", "fastvideo"}
CANCELS = {"openai", "sglang", "tensorrt_llm", "fastvideo"}

NO_LIST = ("list-absent", "list-500", "list-needs-provider")
OF_RUNS = (
    *NO_LIST,
    "list-no-has-more",
    "list-everything",
    "content-redirect",
    "content-url-elsewhere",
    "content-base64",
    "content-202",
    "retrieve-404-first",
    "unknown-html",
    "unknown-403",
    "poll-429",
    "create-429",
    "create-blocks",
    "error-text",
    "dates-text",
    "fails-expired",
    "ends-succeeded",
)
"""Switches that a whole run must survive; what one job makes of each switch is tested apart from this."""
TOGETHER = (
    ("list-absent", "content-redirect", "unknown-html", "poll-429", "error-text"),
    ("list-500", "content-url-elsewhere", "unknown-403", "create-429", "dates-text"),
    ("list-needs-provider", "content-base64", "retrieve-404-first", "fails-expired"),
    ("list-no-has-more", "content-202", "create-blocks", "ends-succeeded"),
    ("list-everything",),
)
"""All of them in few runs: those of one run change different answers."""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-fake-0123456789")


async def measured(
    fake: Fake,
    tmp_path: Path,
    *,
    preset: str | None = None,
    time_limit: float | None = None,
    check_videos: str = "0",
    **changes: Any,
) -> TargetRun:
    """Run the small scenario, with changes, against a fake; decoding videos starts a process, so most runs do not."""
    async with serving(fake):
        return await run_against(
            fake.origin,
            tmp_path,
            scenario(**changes),
            preset=preset,
            model=fake.model,
            time_limit=time_limit,
            check_videos=check_videos,
            poll_interval=0.25 if fake.manner.polls_per_second else 0.05,
        )


@pytest.mark.extended
@pytest.mark.parametrize(
    ("server", "fail_every"),
    [*((server, 5) for server in SERVERS), ("openai", 0), ("dynamo", 0)],  # without failures: one of each kind
)
async def test_a_server_is_measured_with_its_preset(server: str, fail_every: int, tmp_path: Path) -> None:
    fake = Fake(manner(server, **WAIT), Load(seconds=0.1, fail_every=fail_every))
    run = await measured(fake, tmp_path, preset=server, check_videos="0" if fail_every else "all")
    assert_agreement(run, fake)
    failed = JOBS // fail_every if fail_every else 0
    assert run.outcomes == {"completed": JOBS - failed} | ({"failed": failed} if failed else {})
    assert run.lost() == (0 if server in LISTS else None)
    assert {(job.clip, job.model) for job in fake.truth.jobs} == {(ClipSpec(64, 48, 64, 16), fake.model)}
    keys = {f"Bearer {fake.key}"}
    assert fake.truth.keys(fake.origin.removeprefix("http://")) == keys
    assert sum(job.throttled for job in run.jobs) == sum(seen.status == 429 for seen in fake.truth.requests)


def test_switches_of_one_run_together_are_all_switches_and_change_different_fields() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(OF_RUNS)
    for names in TOGETHER:
        fields = [field for name in names for field in SWITCHES[name]]
        assert len(fields) == len(set(fields))


@pytest.mark.extended
@pytest.mark.parametrize("switches", TOGETHER, ids="+".join)
async def test_manners_are_found_out_without_a_preset(switches: tuple[str, ...], tmp_path: Path) -> None:
    made = manner("fastvideo", switches, **WAIT)
    fake = Fake(made, Load(seconds=0.1, fail_every=5))
    run = await measured(fake, tmp_path)
    assert_agreement(run, fake)
    assert run.outcomes == {"completed": 8, "failed": 2}
    assert run.lost() == (None if set(switches) & set(NO_LIST) else 0)
    assert sum(job.throttled for job in run.jobs) == sum(seen.status == 429 for seen in fake.truth.requests)
    assert {job.reported for job in run.jobs if job.outcome is Outcome.FAILED} == {made.words.failed}
    if made.files_elsewhere:
        assert fake.truth.keys(fake.elsewhere.removeprefix("http://")) == {""}


@pytest.mark.extended
async def test_a_base_url_may_have_a_path_and_the_version(tmp_path: Path) -> None:
    for number, ending in enumerate(("/team/video", "/team/video/", "/team/video/v1", "/team/video/v1/")):
        fake = Fake(manner("fastvideo", ["below-a-path"]), Load(seconds=0.05))
        async with serving(fake):
            folder = tmp_path / str(number)
            folder.mkdir()
            assert_agreement(await run_against(fake.origin + ending, folder, check_videos="0"), fake)


@pytest.mark.extended
@pytest.mark.parametrize("switch", [name for name in SWITCHES if name.startswith("delete-")])
async def test_deletions_are_counted_as_the_server_made_them(switch: str, tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo", [switch]), Load(seconds=0.1))
    run = await measured(fake, tmp_path, steps=["create", "wait", "content", "delete"])
    assert_agreement(run, fake)
    assert sum(job.deleted for job in run.jobs) == fake.truth.deleted
    kept = switch in {"delete-409-always", "delete-absent"}
    assert fake.truth.deleted == (0 if kept else JOBS)
    assert run.lost() == (0 if kept else None), "without a job left, no list is needed"


@pytest.mark.extended
@pytest.mark.parametrize("server", [name for name, made in SERVERS.items() if not made.synchronous])
async def test_a_job_given_up_is_cancelled_where_that_is_possible(server: str, tmp_path: Path) -> None:
    fake = Fake(manner(server), Load(seconds=60))
    run = await measured(fake, tmp_path, preset=server, jobs=3, time_limit=0.5)
    assert run.code == ExitCode.PASS, run.messages
    assert run.outcomes == {"timeout": 3}
    given_up = [job.given_up for job in run.jobs]
    assert given_up.count("cancelled") == fake.truth.cancelled
    assert fake.truth.cancelled == (3 if server in CANCELS else 0)
    assert not run.lost()


async def test_a_server_that_forgets_ended_jobs_has_not_lost_them(tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo"), Load(seconds=0.1, forget_after=0.4))
    run = await measured(fake, tmp_path, jobs=4 * JOBS)  # long enough for the first jobs to be forgotten
    assert_agreement(run, fake, 4 * JOBS)
    assert fake.truth.forgotten > 0
    assert run.lost() in {0, None}


async def test_jobs_that_a_server_lost_are_errors_and_make_the_loss_unknown(tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo"), Load(seconds=0.1, lose_every=5))
    run = await measured(fake, tmp_path)
    assert (run.code, fake.truth.lost) == (ExitCode.PASS, 2)
    assert run.outcomes == {"completed": JOBS - 2, "error": 2}
    assert {(job.error, job.reported) for job in run.jobs if job.outcome is Outcome.ERROR} == {
        ("HTTP 404: video not found", "in_progress")
    }
    assert run.lost() is None


async def test_a_slow_server_is_measured_within_a_budget(tmp_path: Path) -> None:
    fake = Fake(manner("vllm_omni"), Load(seconds=75, time_scale=0.004, slots=1))
    async with serving(fake):
        run = await run_against(
            fake.origin,
            tmp_path,
            scenario(jobs=40),
            preset="vllm_omni",
            model=fake.model,
            poll_interval=0.05,
            budget="6s",
            check_videos="0",
        )
    assert run.code == ExitCode.PASS, run.messages
    _, *planned = fake.truth.jobs
    assert run.outcomes == {"completed": len(planned)}
    assert {job.job_id for job in run.jobs} == {job.id for job in planned}, "the calibration job is no measurement"
    budget = read_run(run.folder).budget
    assert budget is not None
    assert (budget.seconds, budget.jobs) == (6, len(planned))
    assert budget.job_seconds >= 0.3
    assert budget.expected == pytest.approx(len(planned) * budget.job_seconds)
    room = 6 - budget.job_seconds
    assert room / 2.1 < budget.expected <= room / (1.05 if len(planned) > 3 else 1), "the fewest jobs need no reserve"


async def test_a_model_that_the_server_refuses_ends_the_run_before_its_folder(tmp_path: Path) -> None:
    fake = Fake(manner("vllm_omni"), Load(seconds=0.1))
    async with serving(fake):
        run = await run_against(fake.origin, tmp_path, preset="vllm_omni", model="of-another-server", first_job=True)
    assert (run.code, fake.truth.created) == (ExitCode.ABSENT, 0)
    assert "the server refuses a job: HTTP 404" in run.messages
    assert "--model names the model" in run.messages
    assert not run.folder.exists()


async def test_the_job_before_the_plan_is_no_measurement_and_may_fail(tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo"), Load(seconds=0.1, fail_every=1))
    async with serving(fake):
        run = await run_against(fake.origin, tmp_path, preset="fastvideo", first_job=True)
    assert run.code == ExitCode.PASS, run.messages
    assert (fake.truth.created, run.outcomes) == (JOBS + 1, {"failed": JOBS})


async def test_a_calibration_job_that_fails_is_followed_by_two_others(tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo"), Load(seconds=0.1, fail_every=1))
    async with serving(fake):
        run = await run_against(fake.origin, tmp_path, preset="fastvideo", budget="20s")
    assert (run.code, fake.truth.created) == (ExitCode.ABSENT, 3)
    assert "the calibration job ended as failed" in run.messages
    assert not run.folder.exists()


async def test_the_limit_of_the_calibration_job_names_the_option_that_set_it(tmp_path: Path) -> None:
    fake = Fake(manner("fastvideo"), Load(seconds=30))
    async with serving(fake):
        run = await run_against(fake.origin, tmp_path, preset="fastvideo", budget="60s", time_limit=1)
    assert run.code == ExitCode.ABSENT
    assert "was not finished after 1 s; give a longer --time-limit" in run.messages
