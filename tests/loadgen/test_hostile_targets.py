"""Runs against hostile servers: they end, hold little in memory, and write nothing that a terminal or browser obeys."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.target.answer import MAX_ANSWER
from reelbench.reporting.export import export
from reelbench.reporting.formats import Format
from tests.fakes.hostile import HOSTILITIES, hostile
from tests.loadgen.target_runs import run_against, scenario

JOBS = 3
MEBIBYTE = 1024**2
MOST_GROWTH = 256 * MEBIBYTE
"""Growth of the process, which is server and client: far below one answer of 1 GB."""
FULL_JOBS = {"strange-model", "strange-headers", "content-1gb", "list-endless", "length-too-short"}
"""Servers that break no job; what is in the file is found when it is opened."""

SHORT = {"content-endless", "create-1gb", "list-endless", "strange-message", "strange-model"}
"""Whole runs of `make test`; tests/loadgen/test_target_hostile.py has one job against each server."""


def peak() -> int:
    """Largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.extended) for name in HOSTILITIES]
)
async def test_a_hostile_server_harms_nothing(name: str, tmp_path: Path) -> None:
    before = peak()
    async with hostile(HOSTILITIES[name]()) as server:
        run = await run_against(server.origin, tmp_path, scenario(jobs=JOBS), time_limit=1.5, poll_interval=0.05)
    assert peak() - before < MOST_GROWTH
    if "1gb" in name or "endless" in name:
        of_json = not name.startswith("content")
        assert not of_json or server.sent < len(server.requests) * 2 * MAX_ANSWER
    assert all(line.isprintable() for line in run.messages.splitlines())
    if run.code == ExitCode.ABSENT:
        assert run.messages.startswith("error: ")
        assert not (tmp_path / "run").exists()
        return
    assert (run.code, len(run.jobs)) == (ExitCode.PASS, JOBS)
    assert all((job.error or "").isprintable() and len(job.error or "") <= 200 for job in run.jobs)
    assert all((job.reported or "").isprintable() and (job.job_id or "").isprintable() for job in run.jobs)
    if name not in FULL_JOBS:
        assert "completed" not in run.outcomes, run.jobs
    export(tmp_path / "run", None, charts=False, formats=(Format.MARKDOWN, Format.HTML))
    for page in (tmp_path / "run" / "reports").iterdir():
        text = page.read_text()
        assert "\x1b" not in text
        assert "<script>alert(1)" not in text, page
