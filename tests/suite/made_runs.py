"""Folders of runs with a head and, where asked for, results: enough for lists, the index page and the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reelbench.loadgen.record.run import EnvironmentRecord, RunRecord, RunState, ScenarioRecord, write_run
from reelbench.loadgen.record.run_files import JOBS_FILE, write_atomically
from tests.reporting.trend.test_trend import results, value

STARTED = 1_000_000_000.0


def record(run_id: str, **changes: Any) -> RunRecord:
    environment = EnvironmentRecord(
        cpu_model="made", cpu_count=4, memory_bytes=8 * 2**30, os="made", python="3.12", packages={}, commit="c" * 40,
        dirty=False, lock_sha256=None,
    )  # fmt: skip
    scenario = ScenarioRecord(
        name="trial", dimension="performance", title="Trial", why="", steps=["create"], state=RunState.COMPLETED,
        started=STARTED, ended=STARTED + 10, cases=[], objectives={}, store=None,
    )  # fmt: skip
    values: dict[str, Any] = {
        "schema_version": 1, "run_id": run_id, "profile": "quick", "seed": 1, "plan_hash": "ab", "target": "http://h:1",
        "state": RunState.COMPLETED, "started": STARTED, "ended": STARTED + 10, "document": None,
        "environment": environment, "scenarios": [scenario], "faults": [],
    }  # fmt: skip
    return RunRecord(**values | changes)


def made(runs: Path, run_id: str, verdict: str | None = None, **changes: Any) -> Path:
    """Write a run; a verdict also writes its results, with one figure that was judged."""
    folder = runs / run_id
    write_run(folder, record(run_id, **changes))
    (folder / JOBS_FILE).write_bytes(b"")
    if verdict is not None:
        figure = value("response_time_p95", "s", "trial", "n01", 2.5) | {
            "objective": {"value": 2.0, "direction": "at_most"},
            "verdict": "FAIL",
        }
        found = results(1, [figure], run_id=run_id, verdict=verdict)
        write_atomically(folder / "reports" / "results.json", json.dumps(found).encode())
    return folder
