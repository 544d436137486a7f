"""Runs against a target that asks for secrets: none stands in what is written, printed or passed as an argument."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import ROOT, command, invoke, only_run, stack_of

KEY, HEADER, PASSWORD = "sk-Geheim-k3y-4711", "h3ader-Geheim-0815", "p@ss-Geheim-2342"
QUOTED = PASSWORD.replace("@", "%40")
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
SECRETS = tuple(secret.encode() for secret in (KEY, HEADER, PASSWORD, QUOTED, BASIC, "Geheim"))
ENVIRONMENT = {"MY_KEY": KEY, "MY_HEADER": HEADER, "MY_URL_PASSWORD": QUOTED}
HEADER_OPTION = ("--header", "X-Api-Token: ${MY_HEADER}")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Address of the target."""
    arguments = [sys.executable, "-m", "tests.loadgen.guarded_target", HEADER, f"Bearer {KEY}", f"Basic {BASIC}"]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    yield child.stdout.readline().strip()
    child.kill()
    child.communicate()


@dataclass
class Done:
    code: int
    printed: bytes
    arguments: set[bytes]
    """Command lines of all processes that the command started."""


def suite(*options: str) -> Done:
    """Run the suite, and look at the command lines of its processes meanwhile."""
    seen: set[bytes] = set()
    child = subprocess.Popen(
        command("run_suite.py", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | ENVIRONMENT,
    )
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            try:
                found = psutil.Process(child.pid).children(recursive=True)
                seen.update(" ".join(process.cmdline()).encode() for process in found)
            except psutil.Error:
                continue

    watch = threading.Thread(target=look)
    watch.start()
    printed, _ = child.communicate(timeout=120)
    ended.set()
    watch.join()
    return Done(child.returncode, printed, seen)


def leaks(folder: Path) -> list[str]:
    """Return the files of a folder in which a secret stands."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in SECRETS)
    ]


@pytest.mark.extended
@pytest.mark.parametrize("way", ["key", "password"])
def test_no_secret_is_written_printed_or_passed_as_an_argument(
    way: str, guarded: str, tmp_path: Path, prometheus: PrometheusBinary
) -> None:
    access = {
        "key": ("--target", guarded, "--api-key-env", "MY_KEY"),
        "password": ("--target", guarded.replace("://", f"://me:{QUOTED}@")),
    }[way]
    runs = tmp_path / "runs"
    done = suite(*access, *HEADER_OPTION, "--scenario", "single_request", "--runs", str(runs), "--no-charts")
    assert done.code in {0, 1, 3}, done.printed.decode()
    folder = only_run(runs)
    run = read_run(folder)
    assert (run.state, run.target) == (RunState.COMPLETED, guarded)
    jobs = read_jobs(folder)
    refused = [job.error for job in jobs if job.error is not None]
    assert len(jobs) - len(refused) >= 4
    assert refused
    assert all("*** and *** are wrong" in error for error in refused)
    assert stack_of(folder).components[0].url == guarded
    assert any(b"reelbench.loadgen run" in line for line in done.arguments)
    spans = (folder / "traces" / "loadgen.jsonl").read_bytes()
    assert guarded.encode() in spans
    assert leaks(folder) == []
    report = invoke(
        "export_reports.py", str(folder), "--format", "md,html,latex,csv,json,junit", "--no-charts", **ENVIRONMENT
    )
    written = {path.suffix for path in (folder / "reports").rglob("*")}
    assert {".md", ".html", ".tex", ".csv", ".json", ".xml"} <= written, report.stderr
    assert leaks(tmp_path) == []
    for text in (done.printed, report.stdout.encode(), report.stderr.encode(), *done.arguments):
        assert not any(secret in text for secret in SECRETS), text.decode()


def test_a_refusal_ends_before_anything_is_written(guarded: str, tmp_path: Path) -> None:
    for access, expected in (
        ((), "and none was sent; set OPENAI_API_KEY, or name the variable that holds the key with --api-key-env"),
        (("--api-key-env", "MY_URL_PASSWORD", *HEADER_OPTION), "refused the key that was sent (HTTP 401: *** and"),
    ):
        chosen = ("--scenario", "single_request", "--runs", str(tmp_path / "runs"))
        done = invoke("run_suite.py", "--target", guarded, *access, *chosen, **ENVIRONMENT)
        assert (done.returncode, done.stdout) == (4, "")
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1
        assert not any(secret.decode() in done.stderr for secret in SECRETS)
        assert not (tmp_path / "runs").exists()


def test_an_unset_variable_is_one_sentence(tmp_path: Path) -> None:
    target = "http://me:${NOT_THERE}@127.0.0.1:9"
    done = invoke("run_suite.py", "--target", target, "--header", "X-Key: ${NEITHER}", "--runs", str(tmp_path / "runs"))
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: --target: the environment variable NOT_THERE is not set; set it\n",
    )
    assert not (tmp_path / "runs").exists()
