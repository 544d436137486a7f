"""Evidence that was kept, is damaged, missing or altered: values on made runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.evidence.integrity import doubts, notes
from reelbench.reporting.evidence.kept import stronger
from reelbench.reporting.evidence.measurements import Measurement, Measurements, SampleSeries, read, write
from reelbench.reporting.evidence.requests import Requests
from reelbench.reporting.evidence.traces import TraceEvidence
from reelbench.reporting.export import export
from tests.commands import invoke
from tests.reporting.evidence_of import evidence, measurement
from tests.reporting.made_run import MadeRun


def series(*times: float) -> SampleSeries:
    return SampleSeries(
        reading="memory",
        scenario="a",
        case="b",
        labels={"job": "service"},
        query="q",
        instant=1.0,
        times=times,
        values=tuple(0.0 for _ in times),
    )


def measured(*values: Measurement, samples: tuple[SampleSeries, ...] = (), prometheus: bool = True) -> Measurements:
    return Measurements(
        run_id="r", instant=1.0, window="9s", prometheus=prometheus, measurements=values, series=samples
    )


P50, P95 = measurement("p50", "a", value=1.0, n=100), measurement("p95", "a", value=2.0, n=100)
GONE, FEWER = measurement("p95", "a", value=None), measurement("p95", "a", value=1.5, n=99)


def test_what_prometheus_still_has_replaces_what_was_kept() -> None:
    now = measured(P50, measurement("p95", "a", value=2.5, n=100), samples=(series(1, 2, 3),))
    assert stronger(measured(P50, P95, samples=(series(1, 2),)), now) is None
    assert stronger(None, now) is None
    assert stronger(measured(P50, GONE, prometheus=False), now) is None
    asked_otherwise = msgspec.structs.replace(GONE, query="another")
    assert stronger(measured(P50, P95), measured(P50, asked_otherwise)) is None


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (measured(P50, GONE), "1 of 2 values and samples of 1 of 1 series"),
        (measured(P50, FEWER, samples=(series(1, 2),)), "1 of 2 values"),
        (measured(P50, P95, samples=(series(1),)), "samples of 1 of 1 series"),
    ],
)
def test_weaker_answers_do_not_replace_what_was_kept(now: Measurements, why: str) -> None:
    kept = measured(P50, P95, samples=(series(1, 2),))
    found = stronger(kept, now)
    assert found is not None
    assert found.measurements == kept
    assert found.why == (
        f"Prometheus no longer has {why} that measurements.json has: the kept measurements are used. "
        "To measure anew, remove measurements.json"
    )


def test_what_was_not_asked_before_is_taken_from_now() -> None:
    new = measurement("new", "a", value=3.0)
    found = stronger(measured(P95), measured(GONE, new))
    assert found is not None
    assert found.measurements.measurements == (P95, new)


@pytest.mark.extended
def test_an_export_over_a_damaged_store_keeps_the_evidence(measured_dir: Path, prometheus_url: str) -> None:
    kept = read(measured_dir)
    assert kept is not None
    better = tuple(
        msgspec.structs.replace(m, n=m.n + 1) if m.sli == "response_time_p95" and m.n else m for m in kept.measurements
    )
    write(measured_dir, msgspec.structs.replace(kept, measurements=better))
    before = (measured_dir / MEASUREMENTS_FILE).read_bytes()
    exported = export(measured_dir, prometheus_url, charts=False)
    assert (measured_dir / MEASUREMENTS_FILE).read_bytes() == before
    assert exported.source.startswith("Prometheus no longer has ")
    assert exported.source in (measured_dir / "reports" / "performance_report.md").read_text()
    (measured_dir / MEASUREMENTS_FILE).write_bytes(b"{")  # what cannot be read is no evidence
    assert export(measured_dir, prometheus_url, charts=False).status is Status.PASS


def test_report_says_which_evidence_it_used(measured_dir: Path) -> None:
    done = invoke("export_reports.py", str(measured_dir), "--kept", "--no-charts")
    assert done.returncode == 0
    assert "the numbers of telemetry are kept in measurements.json" in done.stderr.splitlines()


def test_a_store_that_is_gone_is_replaced_by_what_was_kept(measured_dir: Path) -> None:
    done = invoke("export_reports.py", str(measured_dir), "--no-charts")
    assert done.returncode == 0
    assert "the run's Prometheus data are gone: the kept measurements.json is used" in done.stderr.splitlines()


def test_an_altered_plan_is_a_doubt(made: MadeRun, tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    assert doubts(tmp_path, made.run, made.jobs, Requests.of(made.requests), TraceEvidence()) == ()
    plan.write_bytes(b"the plan")
    run = msgspec.structs.replace(made.run, plan_hash=hashlib.sha256(b"the plan").hexdigest())
    assert doubts(tmp_path, run, made.jobs, Requests.of(made.requests), TraceEvidence()) == ()
    plan.write_bytes(b"another")
    now, then = hashlib.sha256(b"another").hexdigest()[:8], run.plan_hash[:8]
    sentence = f"plan.jsonl was altered after the run: its hash is {now}, that of the run is {then}"
    assert doubts(tmp_path, run, made.jobs, Requests.of(made.requests), TraceEvidence()) == (sentence,)


@pytest.mark.extended
def test_records_that_are_missing_or_altered_are_a_doubt(made: MadeRun, tmp_path: Path) -> None:
    def found(run: RunRecord = made.run, jobs: Sequence[JobRecord] = made.jobs, create: int = 0) -> tuple[str, ...]:
        """Return the doubts of a run without some of its requests that created a job."""
        left = [r for r in made.requests if r.operation != "create" or r.warmup or r.status != 200]
        created = [r for r in made.requests if r not in left]
        return doubts(tmp_path, run, jobs, Requests.of([*left, *created[create:]]), TraceEvidence())

    count, altered = len(made.jobs), "jobs.jsonl was cut off or altered after the run"
    assert found() == ()
    assert found(jobs=made.jobs[3:]) == (f"{altered}: it holds {count - 3:,} of {count:,} jobs",)
    interrupted = msgspec.structs.replace(made.run, state=RunState.INTERRUPTED)
    assert found(interrupted, made.jobs[3:], create=5) == ()
    measured = [job for job in made.jobs if not job.warmup]
    twice = [job for job in made.jobs if job is not measured[0]]
    assert found(jobs=[*twice, measured[1]]) == (f"{altered}: it holds 1 of its jobs more than once",)
    assert made.run.ended is not None
    for change in ({"done": 1e308}, {"done": made.jobs[0].due - 1}, {"due": made.run.started - 61}):
        odd = [msgspec.structs.replace(made.jobs[0], **change), *made.jobs[1:]]
        assert found(jobs=odd) == (f"{altered}: the times of 1 of its jobs are not within the run",)
    accepted = sum(job.accepted is not None and not job.warmup for job in made.jobs)
    (doubt,) = found(create=accepted)
    assert doubt.startswith("requests.jsonl was cut off or altered after the run: it holds ")
    assert doubt.endswith(f" successful requests that created a video, and {accepted:,} jobs were accepted")


def test_damaged_traces_are_a_doubt_and_missing_ones_are_said(made: MadeRun, tmp_path: Path) -> None:
    assert doubts(tmp_path, made.run, made.jobs, Requests.of(made.requests), TraceEvidence(damaged=2, cut_off=1)) == (
        "2 lines or spans of the traces are damaged, and left out",
    )
    stack = evidence(made).stack
    assert notes(tmp_path, stack, TraceEvidence(absent="the run kept no traces")) == (
        "There are no traces: the run kept no traces",
    )
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "loadgen.jsonl").touch()
    assert notes(tmp_path, stack, TraceEvidence(cut_off=1)) == (
        "The traces of service are missing",
        "The last line of 1 of the files of traces is cut off, as the process was killed",
    )


def test_a_damaged_line_of_traces_makes_a_run_inconclusive(measured_dir: Path) -> None:
    path = measured_dir / "traces" / "service.jsonl"
    path.write_bytes(b"no span\n")
    exported = export(measured_dir, None, charts=False)
    assert (exported.status, exported.exit_code) == (Status.INCONCLUSIVE, 3)
    assert exported.problems == ("1 line or span of the traces is damaged, and left out",)
