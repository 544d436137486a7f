"""The generated dashboards: whole, strict, and with series behind every panel."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import requests
import yaml

from reelbench.monitoring.burn_rate import budgets
from reelbench.monitoring.dashboards import dashboards
from reelbench.monitoring.grafana import (
    Dashboard,
    NodeGraph,
    QueryVariable,
    Row,
    Shown,
    SourceVariable,
    Target,
    TimeSeries,
    from_json,
    to_json,
)
from reelbench.monitoring.layout import Group, LayoutError, Line, lay
from reelbench.monitoring.metric_names import metrics, named, records, unknown
from reelbench.monitoring.objectives import recorded, watched
from reelbench.monitoring.rules import rules
from reelbench.reporting.catalogue.instruments import METRICS_FILE, Instrument
from reelbench.reporting.catalogue.instruments import load as load_instruments
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.stack.prometheus import PrometheusBinary
from tests.reporting import declared, made_live
from tests.reporting.made_run import START, MadeRun
from tests.reporting.served import make_blocks, serving

ROOT = Path(__file__).parents[2]
BOARDS = dashboards(load(), load_prices())
PANELS = [
    pytest.param(board, panel, id=f"{board.title}: {panel.title}")
    for board in BOARDS.values()
    for panel in board.panels
    if not isinstance(panel, Row)
]
QUERIES = [
    pytest.param(target, id=f"{board.title}: {panel.title} {target.ref_id}")
    for board in BOARDS.values()
    for panel in board.panels
    if not isinstance(panel, Row)
    for target in panel.targets
    if isinstance(target.expr, str)
]
UNITS = {"s", "none", "short", "ops", "reqps", "percentunit", "percent", "bytes", "Bps", "currencyUSD"}
GAUGES = {name for one in load_instruments().instruments if one.kind == "gauge" for name in one.series}
BUILT_IN = {"__rate_interval", "__range"}
"""Variables that Grafana fills in itself."""
FILL = {
    "__rate_interval": "20s", "__range": f"{made_live.LENGTH}s", "run_id": ".+", "scenario": ".+",
    "price_input": "0.15", "price_output": "0.6", "price_characters": "15", "price_image": "0.042",
    "price_cpu": "0.03", "price_memory": "0.004",
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{?(\w+)")


def shown_panels() -> Iterator[tuple[Dashboard, Shown]]:
    return ((board, panel) for board in BOARDS.values() for panel in board.panels if not isinstance(panel, Row))


def exprs(panel: Shown) -> list[str]:
    return [target.expr for target in panel.targets if isinstance(target.expr, str)]


def fill(expr: str) -> str:
    return _VARIABLE.sub(lambda match: FILL[match[1]], expr)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_read_back_by_strict_records_as_it_was_written(name: str) -> None:
    written = (ROOT / "grafana" / "dashboards" / name).read_bytes()
    assert from_json(written) == BOARDS[name]
    assert to_json(from_json(written)) == written
    with pytest.raises(msgspec.ValidationError, match="unknown field `stranger`"):
        from_json(written.replace(b'"uid": "reelbench', b'"stranger": 1, "uid": "reelbench', 1))


def test_uids_are_fixed_and_every_dashboard_says_that_it_is_generated() -> None:
    assert {name: board.uid for name, board in BOARDS.items()} == {
        f"{name}.json": f"reelbench-{name}" for name in ("live", "reliability", "resources", "traces", "pipeline")
    }
    for board in BOARDS.values():
        assert board.description.endswith("do not edit.")
        assert "generated" in board.tags
        assert not board.editable
        assert (board.refresh, board.time.from_, board.time.to) == ("5s", "now-15m", "now")


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.title)
def test_panels_have_ids_of_their_own_and_never_overlap(board: Dashboard) -> None:
    ids = [panel.id for panel in board.panels]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board.panels:
        place = panel.grid_pos
        cells = {(x, y) for x in range(place.x, place.x + place.w) for y in range(place.y, place.y + place.h)}
        assert len(cells) == place.w * place.h > 0
        assert place.x + place.w <= 24
        assert not cells & taken, panel.title
        taken |= cells


def test_a_panel_keeps_its_id_when_others_come() -> None:
    board = BOARDS["traces.json"]
    shown = [panel for panel in board.panels if not isinstance(panel, Row)]
    alone = lay([Group("Other", [Line(3, shown[2:3])])])
    assert alone[1].id == shown[2].id
    with pytest.raises(LayoutError, match="have the same id"):
        lay([Group("Twice", [Line(3, [shown[0], shown[0]])])])


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_obeys_the_rules_of_the_dashboard_linter(board: Dashboard, panel: Shown) -> None:
    """The rules for panels and queries; target-promql is the test that asks a real Prometheus.

    Left out are the rules of job and instance: the places of these dashboards are runs and scenarios, and their series
    are found by them, whatever process sent them.
    """
    assert panel.title
    assert panel.description.endswith((".", "!")), "panel-title-description"
    assert panel.datasource.uid in {"${datasource}", "${tempo}"}, "panel-datasource"
    assert panel.targets, "panel-no-targets"
    assert all(target.datasource == panel.datasource for target in panel.targets)
    letters = [target.ref_id for target in panel.targets]
    assert letters == sorted(set(letters))
    assert panel.field_config.defaults.unit in UNITS, "panel-units"
    known = {variable.name for variable in board.templating.list} | BUILT_IN
    for expr in exprs(panel):
        assert set(_VARIABLE.findall(expr)) <= known
        ranges = set(re.findall(r"(\w+)\([^()]*\[([^\]]+)\]", expr))
        # target-rate-interval; what asks for totals takes the whole range
        assert ranges <= {
            ("rate", "$__rate_interval"), ("last_over_time", "$__range"), ("last_over_time", "5m"),
        }, expr  # fmt: skip
        counters = re.findall(r"(?:(\w+)\()?\b(\w+_(?:total|bucket|count|sum))\{", expr)
        functions = {function for function, name in counters if name not in GAUGES}
        assert functions <= {"rate", "last_over_time"}, "target-counter-agg"
    if "histogram_quantile" in " ".join(exprs(panel)) and isinstance(panel, TimeSeries):
        assert all(target.exemplar for target in panel.targets), "exemplars lead to traces"
        assert panel.links[0].url.startswith("/d/reelbench-traces?")


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.title)
def test_variables_choose_run_and_scenario_and_follow_the_time(board: Dashboard) -> None:
    by_name = {variable.name: variable for variable in board.templating.list}
    assert list(by_name)[:4] == ["datasource", "tempo", "run_id", "scenario"]
    source = by_name["datasource"]
    assert isinstance(source, SourceVariable), "template-datasource"
    assert (source.query, source.label, source.multi) == ("prometheus", "Data source", False)
    assert not board.editable, "uneditable-dashboard"
    for name in ("run_id", "scenario"):
        variable = by_name[name]
        assert isinstance(variable, QueryVariable)
        assert variable.refresh == 2, "template-on-time-change-reload"
        assert (variable.include_all, variable.all_value) == (True, ".+")
        assert variable.datasource.uid == "${datasource}"
        assert variable.regex
        assert variable.definition == variable.query.query
    uids = {source["name"]: source["uid"] for source in yaml.safe_load(
        (ROOT / "grafana/provisioning/datasources/reelbench.yaml").read_text())["datasources"]}  # fmt: skip
    for name in ("datasource", "tempo"):
        current = by_name[name].current
        assert uids[current.text] == current.value


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.title)
def test_runs_scenarios_and_faults_are_shown_as_annotations(board: Dashboard) -> None:
    assert [(a.name, a.target.tags) for a in board.annotations.list[1:]] == [
        ("Runs", ("reelbench", "run")),
        ("Scenarios", ("reelbench", "scenario")),
        ("Faults", ("reelbench", "fault")),
    ]
    assert board.links[0].tags == ("reelbench",)
    assert board.links[0].include_vars
    assert board.links[0].keep_time


def test_every_metric_of_a_dashboard_or_rule_is_declared() -> None:
    files = rules(load())
    assert unknown(BOARDS.values(), files.values(), metrics() | records(files.values())) == []
    assert all(named(expr) for _, panel in shown_panels() for expr in exprs(panel))


def test_a_query_that_names_another_metric_is_told_with_its_panel_or_rule() -> None:
    files = rules(load())
    unsaved = "unknown metric 'video_jobs_unsaved'; did you mean 'video_jobs_active'?"
    known = (metrics() | records(files.values())) - {"process_thread_count", "video_jobs_unsaved"}
    assert unknown(BOARDS.values(), files.values(), known) == [
        f"dashboard Reliability: panel States that wait for the store: {unsaved}",
        "dashboard Resources: panel Threads: unknown metric 'process_thread_count'; correct it, or declare it first",
        f"rule StatesWaitForStore: {unsaved}",
    ]


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("sum by (instance) (a_total) > 0", {"a_total"}),
        ('max by(x)(2 * a{b="c{d}"} or on (x) group_left (y) e:f:g) / 2^30 * $price', {"a", "e:f:g"}),
        ('label_replace(sum(rate(a[5m])) by (le), "kind", "b(c)", "", "") unless vector(0)', {"a"}),
        ("up == 0 and up offset 5m", {"up"}),
    ],
)
def test_the_metrics_of_an_expression_are_found_with_and_without_a_selector(expr: str, names: set[str]) -> None:
    assert named(expr) == names


def test_the_list_of_metrics_is_what_the_components_declare() -> None:
    """`python -m tests.reporting.declared` writes it again."""
    assert METRICS_FILE.read_text() == declared.listed(METRICS_FILE.read_text())


def test_the_made_metrics_are_declared_too() -> None:
    assert made_live.names() <= metrics() | records(rules(load()).values())


@pytest.mark.parametrize(
    ("name", "unit", "kind", "series"),
    [
        ("a.b", "s", "counter", {"a_b_seconds_total"}),
        ("c", "{job}", "gauge", {"c"}),
        ("d", "1", "gauge", {"d", "d_ratio"}),  # scraped, by OTLP
        ("e", "By", "histogram", {"e_bytes", "e_bytes_bucket", "e_bytes_sum", "e_bytes_count"}),
        ("f.bytes", "By", "counter", {"f_bytes_total"}),
    ],
)
def test_names_of_series_follow_from_unit_and_kind(
    name: str, unit: str, kind: Literal["counter", "gauge", "histogram"], series: set[str]
) -> None:
    assert Instrument(name=name, components=(), kind=kind, unit=unit, description="").series == series


@pytest.fixture(scope="module")
def live_url(
    made: MadeRun, outages: MadeRun, prometheus: PrometheusBinary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real Prometheus that saw the made runs go on, with the recording rules evaluated over them."""
    folder = tmp_path_factory.mktemp("live")
    make_blocks(prometheus, folder, made_live.openmetrics([made, outages]))
    files = [ROOT / "prometheus" / "rules" / name for name in rules(load())]
    with serving(prometheus, folder) as url:
        command = [
            prometheus.path.with_name("promtool"), "tsdb", "create-blocks-from", "rules", f"--url={url}",
            f"--start={START:.0f}", f"--end={made_live.END + 10:.0f}", "--eval-interval=5s", "--output-dir=data",
            *files,
        ]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with serving(prometheus, folder) as url:
        yield url


def series(url: str, target: Target) -> list[dict[str, object]]:
    assert isinstance(target.expr, str)
    asked: dict[str, str | float] = {"query": fill(target.expr)}
    if target.instant:
        answer = requests.post(f"{url}/api/v1/query", data=asked | {"time": made_live.END}, timeout=10)
    else:
        times = {"start": START + 30, "end": made_live.END, "step": 5}
        answer = requests.post(f"{url}/api/v1/query_range", data=asked | times, timeout=10)
    assert answer.status_code == 200, f"{target.expr}\n{answer.text}"
    return answer.json()["data"]["result"]


@pytest.mark.parametrize("target", QUERIES)
def test_every_query_is_valid_and_returns_series(target: Target, live_url: str) -> None:
    assert series(live_url, target), target.expr


def test_variables_find_the_runs_and_the_scenarios_of_a_run(made: MadeRun, outages: MadeRun, live_url: str) -> None:
    """template-label-promql: each asks with a selector that Prometheus takes, and gets what the made runs have."""
    variables = {variable.name: variable for variable in BOARDS["live.json"].templating.list}
    wanted = {
        "run_id": (".+", {made.run.run_id, outages.run.run_id}),
        "scenario": (made.run.run_id, {job.scenario for job in made.jobs if not job.warmup}),
    }
    for name, (chosen, expected) in wanted.items():
        asked = variables[name]
        assert isinstance(asked, QueryVariable)
        parts = re.fullmatch(r"label_values\((.+), (\w+)\)", asked.definition)
        assert parts is not None
        assert parts[2] == name
        selector = {"match[]": parts[1].replace("$run_id", chosen), "start": START, "end": made_live.END}
        answer = requests.get(f"{live_url}/api/v1/label/{name}/values", params=selector, timeout=10)
        found = {value for value in answer.json()["data"] if re.search(asked.regex.strip("/"), value)}
        assert found == expected


def test_a_limit_is_drawn_where_the_catalogue_sets_it() -> None:
    """Green where the objective holds, red where it does not; a panel without objective has no red."""
    panels = {panel.title: panel for _, panel in shown_panels()}
    limits = {
        "P95 now": "response_time_p95", "Response time": "response_time_p95", "Success": "success_rate",
        "Success rate": "success_rate", "P95 of the API by operation": "api_latency_p95",
        "Recovery rate": "recovery_rate",
    } | {f"{entry.sli.title}, worst place": entry.sli.id for entry in watched(load())}  # fmt: skip
    drawn = {
        title: tuple((step.color, step.value) for step in panel.field_config.defaults.thresholds.steps)
        for title, panel in panels.items()
    }
    assert {title for title, steps in drawn.items() if len(steps) > 1} == limits.keys()
    for title, sli in limits.items():
        objective = load().get(sli).objective
        assert objective is not None
        below, above = ("green", "red") if objective.direction == "at_most" else ("red", "green")
        assert drawn[title] == ((below, None), (above, objective.value)), title


COUNTS = {
    ("live.json", "Running now"): [7 + 5],
    ("live.json", "Response time"): [1, 1, 1],
    ("live.json", "P95 of the API by operation"): [7],
    ("live.json", "Success rate, worst place"): [1],
    ("reliability.json", "Breaker state"): [2],
    ("reliability.json", "Calls by kind"): [4],
    ("resources.json", "Cache hits"): [3, 1],
    ("resources.json", "Cost per hour"): [1] * 6,
    ("traces.json", "P95 by stage"): [5],
    ("pipeline.json", "Parts that answer"): [1],
}
"""Panels whose number of series follows from the made runs."""


@pytest.mark.parametrize(("name", "title"), COUNTS)
def test_a_panel_shows_as_many_series_as_the_made_runs_have(name: str, title: str, live_url: str) -> None:
    panel = next(panel for panel in BOARDS[name].panels if panel.title == title)
    assert not isinstance(panel, Row)
    assert [len(series(live_url, target)) for target in panel.targets] == COUNTS[name, title]


def test_recorded_objectives_are_what_the_report_says(made: MadeRun, outages: MadeRun, live_url: str) -> None:
    """At the end of the ramp the totals are those of the run, whose report judges the same numbers."""

    def value(expr: str) -> float:
        asked = {"query": expr, "time": made_live.END + 5}
        answer = requests.get(f"{live_url}/api/v1/query", params=asked, timeout=10)
        (found,) = answer.json()["data"]["result"]
        return float(found["value"][1])

    case = f'{{run_id="{made.run.run_id}",scenario="throughput",case="n50"}}'
    assert value(f"case:success_n:total{case}") == pytest.approx(400)
    assert value(f"case:success_rate:total{case}") == pytest.approx(396 / 400)
    assert value(f"case:throughput:rate1m{case}") == pytest.approx(396 / made_live.LENGTH)
    budget = next(one for one in budgets(load()) if one.sli.id == "success_rate")
    normal = [job for job in outages.jobs if job.scenario == "normal_operation"]
    jobs = [job for job in made.jobs if not job.warmup] + normal
    bad = sum(1 for job in jobs if job.outcome != "completed")
    assert value(budget.record("1h")) == pytest.approx(bad / len(jobs))


def test_whatever_has_an_objective_is_on_a_dashboard() -> None:
    shown = " ".join(
        expr
        for board in BOARDS.values()
        for panel in board.panels
        if not isinstance(panel, Row)
        for expr in exprs(panel)
    )
    for entry in recorded(load()):
        assert entry.sli.objective is None or f"({entry.record}{{" in shown


def test_traceql_names_the_spans_and_attributes_of_the_load_generator() -> None:
    queries = [
        target.query
        for panel in BOARDS["traces.json"].panels
        if not isinstance(panel, Row | NodeGraph)
        for target in panel.targets
        if isinstance(target.query, str)
    ]
    assert len(queries) == 3
    for query in queries:
        assert 'span.run_id =~ "$run_id" && span.scenario =~ "$scenario"' in query
    assert '{ name = "loadgen.job" && ' in queries[0]
    assert 'span.loadgen.job.outcome != "completed"' in queries[1]
