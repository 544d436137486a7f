from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.bench import made_traces
from reelbench.bench.export import TraceCost, growth, make, run_traces, trace_line
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.reporting.evidence.file_traces import FileTraces


def test_made_traces_have_a_root_and_all_spans_of_each_job(tmp_path: Path) -> None:
    make(tmp_path / "run", 70, seed=1)
    size = made_traces.write(tmp_path / "run" / "traces", "run", read_jobs(tmp_path / "run"))
    jobs = list(read_jobs(tmp_path / "run"))
    found = FileTraces(tmp_path / "run" / "traces").gather({jobs[0].trace_id})
    assert found.roots.total() == 70
    assert {key.case: count for key, count in found.roots.items()} == {
        "n01": 10,
        "n05": 10,
        "n10": 10,
        "n20": 10,
        "n50": 10,
        "open": 20,
    }
    spans = found.spans[jobs[0].trace_id]
    assert (len(spans), sum(span.parent_id == "" for span in spans)) == (40, 1)
    assert 20_000 < size / 70 < 36_000


@pytest.mark.extended
def test_the_cost_of_finding_traces_is_measured(tmp_path: Path) -> None:
    said: list[str] = []
    (cost,) = run_traces([1_000], 1, tmp_path, say=said.append)
    assert (cost.jobs, cost.traces) == (1_000, 949), "949 of the 1,000 jobs belong to the steady part of their case"
    assert cost.read_bytes == 0 or 1.0 <= cost.read_bytes / cost.file_bytes < 1.01
    assert said[-1] == trace_line(cost)
    assert not list(tmp_path.iterdir())


def test_trace_costs_as_text() -> None:
    small = TraceCost(10_000, 1.0, 1.0, 100_000_000, 280_000_000, 280_000_000, 3_000)
    large = TraceCost(40_000, 4.0, 4.4, 100_000_000, 1_100_000_000, 1_111_000_000, 3_500)
    assert trace_line(large) == (
        "   40,000 jobs:    4.0 s,     100 MB for 3,500 traces out of 1,100 MB, 4.0 s of CPU per GB,"
        " 1.01 x their bytes read"
    )
    assert growth([small, large]) == "growth from 10,000 to 40,000 jobs: time n^1.00, memory n^0.00"
