from __future__ import annotations

import gc
import random
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource

from reelbench.bench.spans import SPANS, Cost, Variant, _Kept, lines, record_job, run, variants
from reelbench.telemetry.tracer import RecordingTracerProvider

ROOT = Path(__file__).parents[2]


def test_a_job_has_the_spans_of_its_three_processes() -> None:
    kept = _Kept()
    record_job(RecordingTracerProvider(Resource({}), [kept]).get_tracer("t"), random.Random(1))
    assert len(kept.spans) == SPANS
    assert {span.kind.name for span in kept.spans} == {"INTERNAL", "SERVER", "CLIENT"}
    assert sum(span.name == "video.job.stage visual" for span in kept.spans) == 5
    assert len({span.context.trace_id for span in kept.spans if span.name.startswith("video.job.queue")}) == 1


def test_each_variant_works_on_the_same_number_of_spans() -> None:
    gc.freeze()  # the command collects garbage before each measurement: here, not that of all other tests
    assert [variant.run() for variant in variants(2, 1)] == [2 * SPANS] * 8
    costs = run(2, 1, 1)
    assert [len(cost.microseconds) for cost in costs] == [2] * 8
    assert all(cost > 0 for each in costs for cost in each.microseconds)


def test_the_result_is_medians_with_ratios_to_the_first_of_each_part() -> None:
    costs = [
        Cost(Variant(part, name, lambda: 1), times)
        for part, name, times in (
            ("start and end", "SDK", (10.0, 20.0)),
            ("start and end", "ours", (1.0, 2.0)),
            ("encode", "official", (8.0, 8.0)),
        )
    ]
    assert [line.split() for line in lines(costs)[1:]] == [
        ["start", "and", "end,", "SDK", "15.0"],
        ["start", "and", "end,", "ours", "1.5", "0.100", "(95", "%", "interval", "0.100", "to", "0.100)"],
        ["encode,", "official", "8.0"],
    ]


@pytest.mark.extended
def test_the_command_prints_a_line_for_each_variant() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/bench_spans.py", "--rounds", "2", "--jobs", "1"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert len(done.stdout.splitlines()) == 9
    assert done.stderr == ""
