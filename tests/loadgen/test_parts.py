from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics

from reelbench.loadgen import telemetry
from reelbench.loadgen.drive.health import Health
from reelbench.loadgen.record import journal as journal_module
from reelbench.loadgen.record.jobs import RequestRecord, read_jobs
from reelbench.loadgen.record.journal import Journal, JournalError, occupied
from reelbench.loadgen.record.reserve import BYTES, NAME
from reelbench.loadgen.record.run import RunRecord
from reelbench.loadgen.record.run_files import to_line
from reelbench.reporting.statistics.intervals import percentile
from tests.data_helper import job

JOB = job()


def test_lines_are_written_unbuffered(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", b"plan\n") as journal:
        journal.job(JOB)
        assert (tmp_path / "run" / "jobs.jsonl").read_bytes() == to_line(JOB)
        assert read_jobs(tmp_path / "run") == [JOB]
    assert (tmp_path / "run" / "plan.jsonl").read_bytes() == b"plan\n"
    assert occupied(tmp_path / "run") == "plan.jsonl"
    assert occupied(tmp_path) is None


def test_requests_are_written_at_the_end_of_their_job_or_run(tmp_path: Path) -> None:
    request = RequestRecord(
        scenario="s", case="c", index=0, warmup=False, operation="wait", sent=1.0, duration=0.1, status=200, bytes=5
    )
    with Journal(tmp_path / "run", b"") as journal:
        for _ in range(3):
            journal.request(request)
        assert (tmp_path / "run" / "requests.jsonl").read_bytes() == b""
        journal.job(JOB)
        assert (tmp_path / "run" / "requests.jsonl").read_bytes() == to_line(request) * 3
        journal.request(request)
    assert (tmp_path / "run" / "requests.jsonl").read_bytes() == to_line(request) * 4
    assert read_jobs(tmp_path / "run") == [JOB]


def test_jobs_that_end_in_one_turn_of_the_loop_share_a_write(tmp_path: Path) -> None:
    later: list[Callable[[], None]] = []
    with Journal(tmp_path, b"", later.append) as journal:
        for _ in range(3):
            journal.job(JOB)
        assert read_jobs(tmp_path) == []
        assert len(later) == 1
        later.pop()()
        assert (tmp_path / "jobs.jsonl").read_bytes() == to_line(JOB) * 3
        journal.job(JOB)
        journal.settle()
        assert read_jobs(tmp_path) == [JOB] * 4
        journal.job(JOB)
    assert read_jobs(tmp_path) == [JOB] * 5
    later.pop()()  # the loop calls it after the end
    assert read_jobs(tmp_path) == [JOB] * 5


def test_a_shared_write_that_fails_is_raised_with_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int, __: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    later: list[Callable[[], None]] = []
    with Journal(tmp_path, b"", later.append) as journal:
        journal.job(JOB)
        monkeypatch.setattr(os, "write", full)
        later.pop()()
        with pytest.raises(JournalError, match="No space left"):
            journal.job(JOB)
        with pytest.raises(JournalError, match="No space left"):
            journal.settle()


def test_the_head_of_a_run_fits_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[RunRecord] = []

    def full(folder: Path, run: RunRecord) -> None:
        if (folder / NAME).exists():
            assert (folder / NAME).stat().st_size == BYTES == 262_144
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(run)

    monkeypatch.setattr(journal_module, "write_run", full)
    run: Any = object()
    with Journal(tmp_path, b"") as journal:
        journal.head(run)
        assert written == [run]
    with Journal(tmp_path / "other", b"") as journal:
        assert (tmp_path / "other" / NAME).exists()
    assert not (tmp_path / "other" / NAME).exists()


def test_a_disk_that_stays_full_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, __: RunRecord) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_module, "write_run", full)
    run: Any = object()
    with Journal(tmp_path, b"") as journal:
        for _ in range(2):
            with pytest.raises(JournalError, match=r"^cannot write the run to .* \(No space left on device\)"):
                journal.head(run)


def test_an_existing_run_folder_is_rejected(tmp_path: Path) -> None:
    Journal(tmp_path, b"").close()
    with pytest.raises(JournalError, match=r"^cannot write the run to .* \(File exists\); make room or choose another"):
        Journal(tmp_path, b"")


def test_a_folder_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"\(Not a directory\)"):
        Journal(tmp_path / "file" / "run", b"")


def test_only_the_prometheus_exporter_is_scraped(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for value in ("prometheus", "otlp", "otlp,prometheus", ""):
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", value)
        answers.append(telemetry.pulled())
    assert answers == [True, False, True, False]


def test_shutdown_does_not_wait_for_a_dead_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        def shutdown(self) -> None:
            answered.wait()

    answered = threading.Event()
    monkeypatch.setattr(telemetry, "FLUSH_SECONDS", 0.1)
    monkeypatch.setattr(metrics, "get_meter_provider", Dead)
    telemetry.shutdown()  # returns although the receiver has not answered
    answered.set()


async def test_a_blocked_event_loop_is_measured_as_lag() -> None:
    async with Health() as health:
        await asyncio.sleep(0.05)
        time.sleep(0.2)  # noqa: ASYNC251 - blocks on purpose
        await asyncio.sleep(0.05)
    assert health.lag_p99 is not None
    assert health.lag_p99 >= 0.18
    assert health.cpu is not None


async def test_a_gap_counts_with_its_length_and_not_as_one_sample() -> None:
    asleep = 0.0
    async with Health(lambda: time.monotonic() + asleep) as health:
        await asyncio.sleep(0.1)
        asleep = 12.0  # the machine sleeps, or the process is stopped
        await asyncio.sleep(0.1)
    assert health.stood_still == pytest.approx(12, abs=0.5)


async def test_a_gap_at_the_end_of_the_window_counts() -> None:
    asleep = 0.0
    async with Health(lambda: time.monotonic() + asleep) as health:
        await asyncio.sleep(0.1)
        asleep = 12.0
    assert health.stood_still == pytest.approx(12, abs=0.5)


async def test_a_late_loop_has_not_stood_still() -> None:
    instants = iter([0.0, 0.3, 0.6, 0.9, *([0.9] * 1000)])
    async with Health(lambda: next(instants)) as health:
        await asyncio.sleep(0.1)
    assert health.stood_still == 0.0
    assert health.lag_p99 == pytest.approx(0.28)


def test_lag_percentile_and_lower_limit_equal_the_reports() -> None:
    for n in (1, 2, 40, 105, 200, 5000):
        health = Health()
        health._lags.extend(float(value) for value in range(n))
        expected = percentile([float(value) for value in range(n)], 0.99)
        assert (health.lag_p99, health.lag_p99_lower) == (expected.value, expected.interval.lower)
