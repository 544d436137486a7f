"""The command ``scripts/generate.py``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from reelbench.monitoring.boards import needed
from reelbench.monitoring.generate import generate
from reelbench.monitoring.objectives import watched
from reelbench.reporting.catalogue.prices import PRICES_FILE, load_prices
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, load
from tests.commands import invoke


def generated(*arguments: str) -> subprocess.CompletedProcess[str]:
    return invoke("generate.py", *arguments)


@pytest.mark.extended
def test_check_names_stale_files_and_writes_nothing(tmp_path: Path) -> None:
    assert generated("--root", str(tmp_path)).returncode == 0
    assert generated("--root", str(tmp_path), "--check").returncode == 0
    live, extra = tmp_path / "grafana" / "dashboards" / "live.json", tmp_path / "prometheus" / "rules" / "old.yml"
    live.write_text("{}")
    extra.write_text("groups: []")
    (tmp_path / "docs" / "dashboards.md").unlink()
    done = generated("--root", str(tmp_path), "--check")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "stale: docs/dashboards.md",
        "stale: grafana/dashboards/live.json",
        "stale: prometheus/rules/old.yml",
    ]
    assert live.read_text() == "{}"
    done = generated("--root", str(tmp_path))
    assert done.stdout.splitlines() == [
        "docs/dashboards.md",
        "grafana/dashboards/live.json",
        "prometheus/rules/old.yml",
    ]
    assert not extra.exists()
    assert json.loads(live.read_bytes())["uid"] == "reelbench-live"


def test_every_error_of_the_catalogue_is_printed_and_nothing_written(tmp_path: Path) -> None:
    catalogue = tmp_path / "slis.yaml"
    text = CATALOGUE_FILE.read_text().replace("title: Throughput\n", "titel: Throughput\n")
    catalogue.write_text(text.replace("n: success_n", "n: nothing"))
    done = generated("--root", str(tmp_path / "out"), "--catalogue", str(catalogue))
    assert done.returncode == 2
    assert [line.split(": ", 2)[2] for line in done.stderr.splitlines()] == [
        "sli success_rate: n names 'nothing', which is no indicator; name one",
        "sli throughput: unknown key 'titel'; did you mean 'title'?",
        "sli throughput: the key 'title' is missing; add it",
    ]
    assert not (tmp_path / "out").exists()


def test_all_missing_indicators_are_printed_at_once_and_nothing_written(tmp_path: Path) -> None:
    catalogue = tmp_path / "slis.yaml"
    text = CATALOGUE_FILE.read_text().replace("id: response_time_p95\n", "id: another_p95\n")
    text = text.replace("id: recovery_rate\n", "id: recovery\n").replace("loadgen_jobs_total{", "loadgen_job_total{", 1)
    catalogue.write_text(text)
    done = generated("--root", str(tmp_path / "out"), "--catalogue", str(catalogue), "--check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: {catalogue}: {error}"
        for error in (
            "sli success_n: query: unknown metric 'loadgen_job_total'; did you mean 'loadgen_jobs_total'?",
            "the dashboards need the indicator 'recovery_rate', which is missing; put it back",
            "the dashboards need the indicator 'response_time_p95', which is missing; put it back",
        )
    ]
    assert not (tmp_path / "out").exists()


def test_a_catalogue_with_only_the_needed_indicators_is_enough(tmp_path: Path) -> None:
    """Groups of panels without content are left out."""
    entry = """
  - id: {id}
    title: {id}
    unit: s
    kind: total
    dimension: every
    section: cpu
    scope: case
    query: sum(last_over_time(loadgen_jobs_total{{run_id="$run_id",scenario="$scenario",case="$case"}}[$window]))
    why: Needed.
"""
    catalogue = tmp_path / "slis.yaml"
    ids = sorted(needed(load_prices()))
    catalogue.write_text("version: 1\nslis:\n" + "".join(entry.format(id=name) for name in ids))
    made = generate(catalogue)
    assert b"Error budgets" not in made["grafana/dashboards/reliability.json"]
    assert b"Objectives" not in made["grafana/dashboards/live.json"]


def test_a_new_price_makes_the_dashboard_of_resources_stale(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES_FILE.read_text().replace("0.011", "0.022").replace("currency: USD", "currency: EUR"))
    done = generated("--check", "--prices", str(prices))
    assert (done.returncode, done.stdout) == (1, "stale: grafana/dashboards/resources.json\n")
    made = json.loads(generate(prices=prices)["grafana/dashboards/resources.json"])
    typed = {v["name"]: (v["label"], v["query"]) for v in made["templating"]["list"] if v["type"] == "textbox"}
    assert typed == {
        "price_input": ("EUR per 1M tokens, input", "0.15"),
        "price_output": ("EUR per 1M tokens, output", "0.6"),
        "price_characters": ("EUR per 1M characters, speech", "15"),
        "price_image": ("EUR per image", "0.022"),
        "price_cpu": ("EUR per core-hour", "0.031611"),
        "price_memory": ("EUR per GiB-hour", "0.004237"),
    }
    prices.write_text(PRICES_FILE.read_text().replace("value: 15.0", "value: fifteen"))
    done = generated("--check", "--prices", str(prices))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {prices}: prices: tts: value is 'fifteen'; write a number of 0 or more\n"


def test_a_missing_checkout_is_not_reported_as_stale(tmp_path: Path) -> None:
    root = tmp_path / "absent"
    done = generated("--root", str(root), "--check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --root: {root} is no folder; name a checkout\n"


NEW = """
  - id: made_cpu
    title: CPU of the service
    unit: ratio
    kind: value
    dimension: resources
    section: cpu
    scope: scenario
    query: >-
      avg_over_time(process_cpu_utilization_ratio{job="service",run_id="$run_id",scenario="$scenario"}[$window])
    objective: {value: 0.8, direction: at_most}
    why: Room for more.

  - id: unplaced
    title: CPU of the process
    unit: ratio
    kind: value
    dimension: resources
    section: cpu
    scope: scenario
    query: avg_over_time(process_cpu_utilization_ratio{job="service"}[$window])
    objective: {value: 0.8, direction: at_most}
    why: Its labels do not say the scenario.

  - id: made_hit_rate
    title: Made hit rate
    unit: ratio
    kind: value
    dimension: resources
    section: cache
    scope: scenario
    query: >-
      sum by (cache) (last_over_time(cache_requests_total{run_id="$run_id",scenario="$scenario",result="hit"}[$window]))
      / sum by (cache) (last_over_time(cache_requests_total{run_id="$run_id",scenario="$scenario"}[$window]))
    by: {label: cache, members: [script, audio]}
    objective: {value: 0.4, direction: at_least, scenarios: [cache_efficiency]}
    why: What is not asked again costs nothing.
"""


def test_new_indicators_get_rules_panels_and_pages(tmp_path: Path) -> None:
    catalogue = tmp_path / "slis.yaml"
    catalogue.write_text(CATALOGUE_FILE.read_text() + NEW)
    made = generate(catalogue)
    rules = made["prometheus/rules/objectives.yml"].decode()
    for part in (
        "scenario:made_cpu:total",
        "MadeCpuOutsideObjective",
        'sum by (run_id, scenario, cache) (last_over_time(cache_requests_total{run_id!="",result="hit"}[5m]))',
        'scenario:made_hit_rate:total{scenario=~"cache_efficiency",cache=~"script|audio"} < 0.4',
    ):
        assert part in " ".join(rules.split()), part
    assert "unplaced" not in rules.split("groups:")[1], "an alert that could never fire"
    assert ", unplaced." in rules
    burns = made["prometheus/rules/burn_rates.yml"].decode()
    assert "slo:made_hit_rate:error_ratio_rate5m > 1 * 0.6" not in burns
    assert "slo:made_hit_rate:error_ratio_rate6h > 1 * 0.6" in burns, "60 % bad is the only pace that can be reached"
    assert "made_cpu" not in burns, "a gauge has no events"
    assert "CPU of the service, worst place" in made["grafana/dashboards/resources.json"].decode()
    assert "### MadeHitRateOutsideObjective" in made["docs/dashboards.md"].decode()
    assert len(list(watched(load(catalogue)))) == len(list(watched(load()))) + 2
