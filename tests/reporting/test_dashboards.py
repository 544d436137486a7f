"""The dashboards: complete, valid by Grafana's rules, and with series for every panel."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from reelbench.monitoring.boards import dashboards
from reelbench.monitoring.contract import load_instruments, series
from reelbench.monitoring.generate import unknown
from reelbench.monitoring.grafana import LayoutError, to_json
from reelbench.monitoring.objectives import budgets, recorded, watched
from reelbench.monitoring.panels import Board, Group, Line, Panel, Query
from reelbench.monitoring.promql import Expr, everywhere, formula, rate, select
from reelbench.monitoring.rules import rules
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.stack.prometheus import PrometheusBinary
from tests.reporting import made_live
from tests.reporting.made_run import START, MadeRun
from tests.reporting.served import make_blocks, promtool_of, serving

ROOT = Path(__file__).parents[2]
CATALOGUE, PRICES = load(), load_prices()
BOARDS = dashboards(CATALOGUE, PRICES)
FILES: dict[str, dict[str, Any]] = {
    name: json.loads(to_json(board, CATALOGUE, PRICES)) for name, board in BOARDS.items()
}
KNOWN = series(load_instruments())
GAUGES = {name for one in load_instruments() if one.is_gauge for name in one.series}
UNITS = {"s", "none", "short", "ops", "reqps", "percentunit", "percent", "bytes", "Bps", "currencyUSD"}
BUILT_IN = {"__rate_interval", "__range"}
"""Variables that Grafana fills in itself."""
FILL = {
    "__rate_interval": "20s", "__range": f"{made_live.LENGTH}s", "run_id": ".+", "scenario": ".+",
    "price_input": "0.15", "price_output": "0.6", "price_characters": "15", "price_image": "0.042",
    "price_cpu": "0.03", "price_memory": "0.004",
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{?(\w+)")


def shown(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a file without its rows."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_uids_are_fixed_panel_ids_unique_and_panels_do_not_overlap() -> None:
    assert {name: document["uid"] for name, document in FILES.items()} == {
        f"{name}.json": f"reelbench-{name}" for name in ("live", "reliability", "resources", "traces", "pipeline")
    }
    for document in FILES.values():
        assert (document["editable"], document["refresh"], document["schemaVersion"]) == (False, "5s", 41)
        assert document["description"].endswith("do not edit.")
        ids = [panel["id"] for panel in document["panels"]]
        assert len(set(ids)) == len(ids)
        taken: set[tuple[int, int]] = set()
        for panel in document["panels"]:
            place = panel["gridPos"]
            columns, lines = (range(place[at], place[at] + place[size]) for at, size in (("x", "w"), ("y", "h")))
            cells = {(x, y) for x in columns for y in lines}
            assert cells
            assert columns.stop <= 24
            assert not cells & taken, panel["title"]
            taken |= cells


def made_board(*panels: Panel) -> Board:
    return Board("uid", "Made", "Made.", [Group("Group", [Line(3, panels)])])


def test_panel_ids_are_stable_and_duplicate_titles_are_an_error() -> None:
    panel = BOARDS["traces.json"].panels[2]
    alone = shown(json.loads(to_json(made_board(panel), CATALOGUE, PRICES)))
    assert alone[0]["id"] == shown(FILES["traces.json"])[2]["id"]
    for wrong, message in (([panel, panel], "have the same id"), ([], "has 0 panels")):
        with pytest.raises(LayoutError, match=message):
            to_json(made_board(*wrong), CATALOGUE, PRICES)


def test_panels_obey_the_rules_of_the_dashboard_linter() -> None:
    """The linter's rules for panels and queries; the tests below query a real Prometheus.

    Left out are the rules of job and instance: the places of these dashboards are runs and scenarios, whose series are
    found by run and scenario, in every process.
    """
    for document in FILES.values():
        known = {variable["name"] for variable in document["templating"]["list"]} | BUILT_IN
        for panel in shown(document):
            title, exprs = panel["title"], [target["expr"] for target in panel["targets"] if "expr" in target]
            assert panel["description"].endswith("."), title
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
            assert panel["datasource"]["uid"] in {"${datasource}", "${tempo}"}, title
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"]), title
            assert [target["refId"] for target in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])]), title
            for expr in exprs:
                assert set(_VARIABLE.findall(expr)) <= known, expr
                # target-rate-interval; totals take the whole range
                assert set(re.findall(r"(\w+)\([^()]*\[([^\]]+)\]", expr)) <= {
                    ("rate", "$__rate_interval"), ("last_over_time", "$__range"), ("last_over_time", "5m"),
                }, expr  # fmt: skip
                counters = re.findall(r"(?:(\w+)\()?\b(\w+_(?:total|bucket|count|sum))[{[]", expr)
                assert {function for function, name in counters if name not in GAUGES} <= {"rate", "last_over_time"}
            if "histogram_quantile" in " ".join(exprs) and panel["type"] == "timeseries":
                assert all(target["exemplar"] for target in panel["targets"]), title
                assert panel["links"][0]["url"].startswith("/d/reelbench-traces?"), title


def test_dashboards_choose_run_and_scenario_and_show_the_regions_of_a_run() -> None:
    provisioned = yaml.safe_load((ROOT / "grafana/provisioning/datasources/reelbench.yaml").read_text())
    uids = {source["name"]: source["uid"] for source in provisioned["datasources"]}
    for document in FILES.values():
        variables = {variable["name"]: variable for variable in document["templating"]["list"]}
        assert list(variables)[:4] == ["datasource", "tempo", "run_id", "scenario"]
        for name in ("datasource", "tempo"):
            current = variables[name]["current"]
            assert uids[current["text"]] == current["value"]
        for name in ("run_id", "scenario"):
            variable = variables[name]
            assert (variable["refresh"], variable["includeAll"], variable["allValue"]) == (2, True, ".+")
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["definition"] == variable["query"]["query"]
        assert [(a["name"], a["target"]["tags"]) for a in document["annotations"]["list"][1:]] == [
            ("Runs", ["reelbench", "run"]),
            ("Scenarios", ["reelbench", "scenario"]),
            ("Faults", ["reelbench", "fault"]),
        ]
        (link,) = document["links"]
        assert (link["tags"], link["includeVars"], link["keepTime"]) == (["reelbench"], True, True)
        assert not any("placement" in part for part in (link, *document["annotations"]["list"])), "hidden in a menu"


def test_an_unrecorded_metric_is_an_error_that_names_its_panel_or_rule() -> None:
    files = rules(CATALOGUE)
    assert unknown(BOARDS.values(), files.values(), KNOWN) == []
    assert made_live.names() <= KNOWN | {name for file in files.values() for name in file.records}
    unsaved = "unknown metric 'video_jobs_unsaved'; did you mean 'video_jobs_active'?"
    assert unknown(BOARDS.values(), files.values(), KNOWN - {"process_thread_count", "video_jobs_unsaved"}) == [
        f"dashboard Reliability: panel States waiting for the store: {unsaved}",
        "dashboard Resources: panel Threads: unknown metric 'process_thread_count'; correct it, or declare it first",
        f"rule StatesWaitForStore: {unsaved}",
    ]


def test_an_expression_knows_its_metrics() -> None:
    expr = formula("$a / ($b > 0) * $price", a=rate("a_total", 'x="y"', by=("x",)), b=select("b"))
    text = (
        'sum by (x) (rate(a_total{run_id=~"$run_id",scenario=~"$scenario",x="y"}[$__rate_interval])) / (b > 0) * $price'
    )
    assert expr == Expr(text, frozenset({"a_total", "b"}))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            'sum(last_over_time(a{run_id="$run_id",case="$case",x="y"}[$window]))',
            'sum by (run_id, case) (rate(a{run_id!="",x="y"}[5m]))',
        ),
        (
            'histogram_sum(sum by (le) (last_over_time(a{run_id="$run_id",case="$case"}[$window])))',
            'histogram_sum(sum by (run_id, case, le) (rate(a{run_id!=""}[5m])))',
        ),
    ],
)
def test_a_catalogue_query_is_rewritten_for_all_cases(template: str, expected: str) -> None:
    labels = ("run_id", "case")
    assert everywhere(template, labels, by=labels, window="5m", function="rate") == expected
    with pytest.raises(KeyError, match="case"):
        everywhere(template.replace(',case="$case"', "").replace("a{", 'a{case="$case",'), labels, by=(), window="5m")


def test_thresholds_of_panels_equal_the_objectives() -> None:
    """Green where the objective holds, red where it does not; every objective is on a dashboard."""
    limits = {
        "P95 now": "response_time_p95", "Response time": "response_time_p95", "Success": "success_rate",
        "Success rate": "success_rate", "P95 of the API by operation": "api_latency_p95",
        "Recovery rate": "recovery_rate",
    } | {f"{entry.sli.title}, worst place": entry.sli.id for entry in watched(CATALOGUE)}  # fmt: skip
    drawn = {
        panel["title"]: [
            (step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for document in FILES.values()
        for panel in shown(document)
    }
    assert {title for title, steps in drawn.items() if len(steps) > 1} == limits.keys()
    for title, sli in limits.items():
        objective = CATALOGUE.get(sli).objective
        assert objective is not None
        below, above = ("green", "red") if objective.direction == "at_most" else ("red", "green")
        assert drawn[title] == [(below, None), (above, objective.value)], title
    named = {
        metric for board in BOARDS.values() for panel in board.panels for expr in panel.exprs for metric in expr.metrics
    }
    assert {entry.record for entry in recorded(CATALOGUE) if entry.sli.objective} <= named


def test_traceql_names_the_spans_and_attributes_of_the_load_generator() -> None:
    queries = [t["query"] for panel in shown(FILES["traces.json"]) for t in panel["targets"] if "query" in t]
    assert len(queries) == 3
    for query in queries:
        assert 'span.run_id =~ "$run_id" && span.scenario =~ "$scenario"' in query
    assert '{ name = "loadgen.job" && ' in queries[0]
    assert 'span.loadgen.job.outcome != "completed"' in queries[1]


@pytest.fixture(scope="module")
def live_url(
    made: MadeRun, outages: MadeRun, prometheus: PrometheusBinary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real Prometheus with data from during the made runs and the results of the recording rules."""
    folder = tmp_path_factory.mktemp("live")
    make_blocks(prometheus, folder, made_live.openmetrics([made, outages]))
    files = [ROOT / "prometheus" / "rules" / name for name in rules(CATALOGUE)]
    with serving(prometheus, folder) as url:
        command: list[str | Path] = [
            promtool_of(prometheus), "tsdb", "create-blocks-from", "rules", f"--url={url}",
            f"--start={START:.0f}", f"--end={made_live.END + 10:.0f}", "--eval-interval=5s", "--output-dir=data",
            *files,
        ]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with serving(prometheus, folder) as url:
        yield url


def fill(expr: str) -> str:
    return _VARIABLE.sub(lambda match: FILL[match[1]], expr)


def asked_series(url: str, query: Query) -> list[dict[str, object]]:
    asked: dict[str, str | float] = {"query": fill(query.expr.text)}
    if query.now:
        answer = requests.post(f"{url}/api/v1/query", data=asked | {"time": made_live.END}, timeout=10)
    else:
        times = {"start": START + 30, "end": made_live.END, "step": 5}
        answer = requests.post(f"{url}/api/v1/query_range", data=asked | times, timeout=10)
    assert answer.status_code == 200, f"{query.expr}\n{answer.text}"
    return answer.json()["data"]["result"]


COUNTS = {
    "Running now": [7 + 5],
    "Response time": [1, 1, 1],
    "P95 of the API by operation": [7],
    "Success rate, worst place": [1],
    "Breaker state": [2],
    "Calls by kind": [4],
    "Cache hits": [3, 1],
    "Cost per hour": [1] * 6,
    "P95 by stage": [5],
    "Components up": [1],
}
"""Panels whose number of series follows from the made runs."""


@pytest.mark.extended
@pytest.mark.parametrize("name", BOARDS)
def test_every_query_of_a_dashboard_is_valid_and_returns_series(name: str, live_url: str) -> None:
    for panel in BOARDS[name].panels:
        counts = [len(asked_series(live_url, query)) for query in panel.queries if isinstance(query, Query)]
        assert all(counts), f"{panel.title}: {counts}"
        assert counts == COUNTS.get(panel.title, counts), panel.title


@pytest.mark.extended
def test_variables_find_the_runs_and_the_scenarios_of_a_run(made: MadeRun, outages: MadeRun, live_url: str) -> None:
    """Rule template-label-promql: each variable has a valid selector, and its values are those of the made runs."""
    variables = {variable["name"]: variable for variable in FILES["live.json"]["templating"]["list"]}
    wanted = {
        "run_id": (".+", {made.run.run_id, outages.run.run_id}),
        "scenario": (made.run.run_id, {job.scenario for job in made.jobs if not job.warmup}),
    }
    for name, (chosen, expected) in wanted.items():
        asked = variables[name]
        parts = re.fullmatch(r"label_values\((.+), (\w+)\)", asked["definition"])
        assert parts is not None
        assert parts[2] == name
        selector = {"match[]": parts[1].replace("$run_id", chosen), "start": START, "end": made_live.END}
        answer = requests.get(f"{live_url}/api/v1/label/{name}/values", params=selector, timeout=10)
        found = {value for value in answer.json()["data"] if re.search(asked["regex"].strip("/"), value)}
        assert found == expected


def test_recorded_objectives_are_what_the_report_says(made: MadeRun, outages: MadeRun, live_url: str) -> None:
    """At the end of the ramp the totals equal those of the run, which its report evaluates."""

    def value(expr: str) -> float:
        asked: dict[str, str | float] = {"query": expr, "time": made_live.END + 5}
        answer = requests.get(f"{live_url}/api/v1/query", params=asked, timeout=10)
        (found,) = answer.json()["data"]["result"]
        return float(found["value"][1])

    case = f'{{run_id="{made.run.run_id}",scenario="throughput",case="n50"}}'
    assert value(f"case:success_n:total{case}") == pytest.approx(400)
    assert value(f"case:success_rate:total{case}") == pytest.approx(396 / 400)
    assert value(f"case:throughput:rate1m{case}") == pytest.approx(396 / made_live.LENGTH)
    budget = next(one for one in budgets(CATALOGUE) if one.sli.id == "success_rate")
    normal = [job for job in outages.jobs if job.scenario == "normal_operation"]
    jobs = [job for job in made.jobs if not job.warmup] + normal
    bad = sum(1 for job in jobs if job.outcome != "completed")
    assert value(budget.record("1h")) == pytest.approx(bad / len(jobs))
