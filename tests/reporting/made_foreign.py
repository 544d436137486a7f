"""A made run against a server of another maker, with the manners of a test: every number is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.loadgen.record.run import CaseRecord, RunState, ScenarioRecord, ServerRecord, StoreCount
from reelbench.loadgen.record.run_files import to_line
from reelbench.loadgen.record.videos import Deviation, Property, VideoRecord
from tests.data_helper import job as record
from tests.reporting import made_run
from tests.reporting.made_run import SETTLE, START, MadeRun, Series

NORMAL, CANCEL = "normal_operation", "job_cancellation"
CASE = "n04"
BEGIN = {NORMAL: START + 100, CANCEL: START + 400}
FOREIGN = ServerRecord(name="vllm_omni", title="vLLM-Omni", ours=False, model="wan", offers={"manifest": False})
Change = Callable[[JobRecord], JobRecord]


def job(scenario: str, index: int) -> JobRecord:
    due = BEGIN[scenario] + 5 * index
    fields: dict[str, object] = {"scenario": scenario, "case": CASE, "job_id": f"{scenario}-{index}"}
    fields |= {"trace_id": made_run.trace_of(scenario, CASE, index), "reported": "completed"}
    if scenario == NORMAL:
        fields |= {"ended": due + 7.0, "poll_gap": 2.0}
    return record(index, due=due, seconds=8.0, **fields)


def video(job: JobRecord, *wrong: tuple[Property, str, str], **changes: object) -> VideoRecord:
    found = VideoRecord(
        scenario=job.scenario,
        case=job.case,
        index=job.index,
        bytes=job.bytes,
        container="mp4",
        codec="h264",
        width=720,
        height=1280,
        seconds=4.0,
        frames=96,
        fps=24.0,
        audio=False,
        asked=[Property.LENGTH, Property.SIZE],
        wrong=[Deviation(kind=kind, found=has, asked=asked) for kind, has, asked in wrong],
    )
    return msgspec.structs.replace(found, **changes)


def cancel_request(job: JobRecord, status: int | None) -> RequestRecord:
    assert job.cancel_sent is not None
    return RequestRecord(
        scenario=job.scenario,
        case=job.case,
        index=job.index,
        warmup=False,
        operation="cancel",
        sent=job.cancel_sent,
        duration=0.1,
        status=status,
        bytes=10,
    )


def make(
    *,
    normal: Change = lambda job: job,
    cancelled: Change | None = None,
    store: StoreCount | None = None,
    server: ServerRecord = FOREIGN,
    dimension: str = "reliability",
    jobs: int = 40,
) -> MadeRun:
    """A run of `jobs` jobs of normal operation and, where `cancelled` changes them, 20 jobs to cancel.

    The store of both scenarios is `store`, or a list with every job that was accepted and not deleted.
    """
    made = {NORMAL: [normal(job(NORMAL, index)) for index in range(jobs)]}
    if cancelled is not None:
        made[CANCEL] = [cancelled(job(CANCEL, index)) for index in range(20)]
    run = msgspec.structs.replace(
        made_run.make().run,
        run_id="made-0009",
        target="http://192.0.2.1:8000",
        scenarios=[_scenario(name, rows, store, dimension) for name, rows in made.items()],
        server=server,
        check_videos=20,
        ended=START + 900,
    )
    every = [one for rows in made.values() for one in rows]
    requests = [cancel_request(one, _status(one)) for one in every if one.cancel_sent is not None]
    return Foreign(run, every, requests, Series("made-0009"), START + 900 + SETTLE)


class Foreign(MadeRun):
    """A made run whose stack has no service of this project."""

    def stack(self) -> dict[str, object]:
        return super().stack() | {"components": [{"name": "loadgen", "url": None, "version": "0.1.0"}]}


def write(made: MadeRun, folder: Path, videos: Sequence[VideoRecord] = ()) -> Path:
    run = made.write(folder)
    if videos:
        (run / "videos.jsonl").write_bytes(b"".join(map(to_line, videos)))
    return run


def _status(job: JobRecord) -> int:
    digits = "".join(filter(str.isdigit, job.error or ""))
    return int(digits) if digits else 200


def _scenario(name: str, rows: Sequence[JobRecord], store: StoreCount | None, dimension: str) -> ScenarioRecord:
    kept = sum(1 for one in rows if one.accepted is not None and not one.deleted)
    return ScenarioRecord(
        name=name,
        dimension=dimension,
        title=name,
        why="why",
        steps=["create", "cancel"] if name == CANCEL else ["create", "wait", "content"],
        state=RunState.COMPLETED,
        started=BEGIN[name] - 1,
        ended=BEGIN[name] + 250,
        cases=[
            CaseRecord(
                name=CASE,
                model="closed",
                concurrency=4,
                planned=len(rows),
                warmup=0,
                started=BEGIN[name],
                ended=max(one.done for one in rows),
                generator_cpu=0.1,
                loop_lag_p99=0.001,
            )
        ],
        objectives={},
        store=store or StoreCount(expected=kept, found=kept, by_status={"completed": kept}, error=None),
    )
