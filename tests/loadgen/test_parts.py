from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import os
import time
from collections import Counter
from pathlib import Path

import msgspec
import pypdfium2
import pytest
from opentelemetry import metrics
from rich.console import Console

from reelbench.loadgen import telemetry
from reelbench.loadgen.document import MAX_BYTES, SAMPLE, DocumentError, read_document
from reelbench.loadgen.documents.build_sample_paper import SOURCE, build
from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.drive.health import Health
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.metrics import JOB_SECONDS, LATENESS_SECONDS, REQUEST_SECONDS
from reelbench.loadgen.record.environment import describe
from reelbench.loadgen.record.jobs import Outcome, RequestRecord, read_jobs
from reelbench.loadgen.record.journal import Journal, JournalError, occupied
from reelbench.loadgen.record.run_files import to_line
from reelbench.reporting.statistics.intervals import percentile
from tests.data_helper import job

JOB = job()


def test_the_clock_follows_the_monotonic_time_alone() -> None:
    readings = iter([5.0, 7.5])
    clock = Clock(wall=1000.0, anchor=4.0, tick=lambda: next(readings))
    assert [clock.now(), clock.now()] == [1001.0, 1003.5]


def test_a_started_clock_shows_unix_time() -> None:
    assert Clock.start().now() == pytest.approx(time.time(), abs=0.01)


@pytest.mark.parametrize(
    ("bounds", "ratio", "until", "coarse", "exact"),
    [
        (JOB_SECONDS, 1.05, 30.0, 1.25, {0.02, 0.5, 2.0, 30.0, 600.0}),
        (REQUEST_SECONDS, 1.25, 2.0, 1.5, {0.001, 0.5, 2.0, 60.0}),
        (LATENESS_SECONDS, 1.5, 1.0, 2.0, {0.0001, 1.0, 60.0}),
    ],
)
def test_bounds_are_no_further_apart_than_their_ratio(
    bounds: tuple[float, ...], ratio: float, until: float, coarse: float, exact: set[float]
) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert exact <= set(bounds)
    steps = list(itertools.pairwise(bounds))
    assert max(high / low for low, high in steps if high <= until) <= ratio * 1.0001
    assert max(high / low for low, high in steps) <= coarse * 1.0001


def test_a_line_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", b"plan\n") as journal:
        journal.job(JOB)
        assert (tmp_path / "run" / "jobs.jsonl").read_bytes() == to_line(JOB)
        assert read_jobs(tmp_path / "run") == [JOB]
    assert (tmp_path / "run" / "plan.jsonl").read_bytes() == b"plan\n"
    assert occupied(tmp_path / "run") == "plan.jsonl"
    assert occupied(tmp_path) is None


def test_the_requests_of_a_job_are_in_the_file_with_its_end_or_with_that_of_the_run(tmp_path: Path) -> None:
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


def test_a_second_run_never_writes_into_the_first(tmp_path: Path) -> None:
    Journal(tmp_path, b"").close()
    with pytest.raises(JournalError, match=r"^cannot write the run to .* \(File exists\); make room or choose another"):
        Journal(tmp_path, b"")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"\(Not a directory\)"):
        Journal(tmp_path / "file" / "run", b"")


def test_the_environment_describes_this_machine(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_bytes(b"lock")
    record = describe(tmp_path)
    assert record.cpu_count == os.cpu_count()
    assert record.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert record.packages["aiohttp"].count(".") == 2
    assert (record.commit, record.dirty) == (None, False)
    assert record.lock_sha256 == hashlib.sha256(b"lock").hexdigest()


def test_the_environment_needs_neither_git_nor_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    record = describe(tmp_path / "nowhere")
    assert (record.commit, record.dirty, record.lock_sha256) == (None, False, None)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("empty.pdf", b"", "is empty; name a PDF or text file with content"),
        ("image.png", b"\x89PNG\r\n", "is neither a PDF nor UTF-8 text; convert it to one of them"),
        ("null.txt", b"a\0b", "is neither a PDF nor UTF-8 text; convert it to one of them"),
        ("big.txt", b"x" * (MAX_BYTES + 1), "is larger than 20 MiB; use a smaller one"),
        ("absent.pdf", None, r"cannot be read \(No such file or directory\); name a readable PDF or text file"),
    ],
)
def test_a_document_that_cannot_be_uploaded_is_one_sentence(
    tmp_path: Path, name: str, data: bytes | None, expected: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DocumentError, match=f"^document .*{name} {expected}$"):
        read_document(tmp_path / name)


def test_a_directory_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="is a directory; name a PDF or a text file"):
        read_document(tmp_path)


def test_text_and_pdf_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("Grüße".encode())
    assert read_document(tmp_path / "a").media_type == "text/plain"


def test_a_document_whose_name_is_no_text_has_one_in_the_records(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"paper\xff.txt")
    path.write_text("hello")
    assert b'"name":"paper\xef\xbf\xbd.txt"' in msgspec.json.encode(read_document(path).record())
    sample = read_document(SAMPLE)
    assert (sample.name, sample.media_type) == ("sample_paper.pdf", "application/pdf")
    assert sample.record().sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert sample.record().bytes == SAMPLE.stat().st_size


def text_of(pdf: bytes) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as paper:
        return [page.get_textpage().get_text_range() for page in paper]


def test_the_sample_paper_has_real_text() -> None:
    pages = text_of(SAMPLE.read_bytes())
    words = " ".join(pages).split()
    assert len(pages) == 6
    assert 2500 <= len(words) <= 3000
    assert " ".join(words[1:9]) == "Measuring Text-to-Video Pipelines Through Their Own Telemetry A"
    assert "Little's law ties the three observable quantities together" in " ".join(words)
    assert 10_000 <= SAMPLE.stat().st_size <= 20_000
    assert SAMPLE.read_bytes().count(b"/FontFile") == 0


def test_the_sample_paper_is_that_of_its_source() -> None:
    marks = {"#", "##", "###", "@", "$", "*", "!caption", "!figure", "|"}
    source = Counter(word for word in SOURCE.read_text(encoding="utf-8").split() if word not in marks)
    built = Counter(" ".join(text_of(SAMPLE.read_bytes())).split())
    assert source - built == Counter()


def test_the_same_source_gives_the_same_bytes() -> None:
    source = (
        "# A Title\n@ A note.\n## 1. Part\nSome words of text.\n$ N = X R\na | b\n1 | 2\n!caption Table.\n* [1] None.\n"
    )
    assert build(source) == build(source)
    assert b"/CreationDate" not in build(source)
    assert "".join(text_of(build(source))).split()[:4] == ["1", "A", "Title", "A"]


def test_only_the_prometheus_exporter_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for value in ("prometheus", "otlp", "otlp,prometheus", ""):
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", value)
        answers.append(telemetry.pulled())
    assert answers == [True, False, True, False]


def test_shutdown_does_not_wait_for_a_dead_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        def shutdown(self) -> None:
            time.sleep(1)

    monkeypatch.setattr(telemetry, "FLUSH_SECONDS", 0.1)
    monkeypatch.setattr(metrics, "get_meter_provider", Dead)
    begin = time.monotonic()
    telemetry.shutdown()
    assert 0.1 <= time.monotonic() - begin < 0.5


async def test_a_blocked_loop_shows_as_lag() -> None:
    async with Health() as health:
        await asyncio.sleep(0.05)
        time.sleep(0.2)  # noqa: ASYNC251 - blocks on purpose
        await asyncio.sleep(0.05)
    assert health.lag_p99 == pytest.approx(0.19, abs=0.03)
    assert health.cpu is not None
    assert health.cpu < 0.5


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=terminal, width=120)) as view:
        view.begin("trial", "n01", 2)
        for ended in (
            JOB,
            job(outcome=Outcome.FAILED),
        ):
            view.job_started()
            view.job_ended(ended)
        view.end()
    return out.getvalue()


def test_without_a_terminal_a_case_is_one_plain_line() -> None:
    assert shown(terminal=False) == "trial n01  2/2 jobs  P95 0.50 s  4.0 jobs/s  1 failed\n"


def test_on_a_terminal_the_line_is_live() -> None:
    text = shown(terminal=True)
    assert "2/2" in text
    assert "0 in flight  P95 0.50 s  1 failed" in text


@pytest.mark.parametrize("n", [1, 2, 40, 105, 200, 5000])
def test_the_lower_limit_of_the_lag_is_that_of_the_reports(n: int) -> None:
    health = Health()
    health._lags.extend(float(value) for value in range(n))
    expected = percentile([float(value) for value in range(n)], 0.99)
    assert (health.lag_p99, health.lag_p99_lower) == (expected.value, expected.interval.lower)
