from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reelbench.bench.scrape import Ingested, Page, Rendered, answer, lines, render
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import left_behind

ROOT = Path(__file__).parents[2]


def test_both_readers_of_a_page_give_the_same_text_after_each_change() -> None:
    page = Page(7, seed=1)
    first = answer(page.ours)
    assert first == gzip.decompress(answer(page.official))
    page.change(0.01)  # at least one series
    second = answer(page.ours)
    assert second == gzip.decompress(answer(page.official))
    changed = [line for line in second.splitlines() if line not in first.splitlines()]
    assert {re.findall(rb'case="(\w+)"', line)[0] for line in changed} == {b"n00"}
    assert first.count(b"\n") == second.count(b"\n") == 7 * 17 + 7  # heads of target_info and of the metric, the end


def test_a_page_is_rendered_once_a_round_both_ways() -> None:
    found = render(3, 4, seed=1)
    assert [(one.share, one.lines, len(one.ours), len(one.official)) for one in found] == [
        (0.01, 58, 4, 4),
        (1.0, 58, 4, 4),
    ]
    assert all(cost > 0 for one in found for cost in (*one.ours, *one.official))


def test_the_result_has_medians_ratios_and_the_cost_of_prometheus() -> None:
    rendered = [Rendered(0.01, 14_000, (5.0, 6.0, 7.0), (500.0, 600.0, 700.0))]
    ingested = [Ingested("all series", 14_000, 20, 25.04)]
    assert lines(rendered, ingested, "2.42.0") == [
        "text of a page, CPU of a scrape, 3 rounds",
        (
            "   14,000 lines,   1% of the series changed: ours    6.0 ms, official exporter  600.0 ms, "
            "ratio 0.010 (95 % interval 0.010 to 0.010)"
        ),
        "Prometheus 2.42.0, CPU of a scrape, 20 scrapes, one a second",
        "   14,000 lines:   25.0 ms, all series",
    ]


@pytest.mark.acceptance
@pytest.mark.extended
def test_the_command_measures_text_and_prometheus_and_leaves_no_process(
    prometheus: PrometheusBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_BIN", str(prometheus.path))
    command = [sys.executable, str(ROOT / "scripts" / "bench_scrape.py"), "--series", "50", "--scrapes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [line.split()[0] for line in printed] == ["text", "857", "857", "Prometheus", "24", "857", "109"]
    assert all(float(line.rpartition("ratio ")[2].split()[0]) < 0.5 for line in printed[1:3])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("TMPDIR")
    assert left_behind(tmp_path) == []
