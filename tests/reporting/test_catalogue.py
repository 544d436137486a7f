from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.reporting.analysis.record_slis import FUNCTIONS
from reelbench.reporting.catalogue.sli import RecordFunction, Role
from reelbench.reporting.catalogue.sli_file import CatalogueError, load

GOOD = """
version: 1
slis:
  - id: a
    title: A
    unit: s
    kind: total
    dimension: performance
    section: cpu
    scope: case
    query: 'sum(a_total{run_id="$run_id",scenario="$scenario",case="$case"}[$window])'
    why: because
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "slis.yaml"
    path.write_text(text)
    return path


def test_the_shipped_catalogue_has_the_designed_objectives() -> None:
    found = {s.id: (s.objective.direction, s.objective.value) for s in load().slis if s.objective}
    of_the_design = {
        "response_time_p95": ("at_most", 2.0),
        "api_latency_p95": ("at_most", 0.5),
        "success_rate": ("at_least", 0.95),
        "throughput": ("at_least", 10.0),
        "sustained_rate": ("at_least", 6.0),
        "recovery_rate": ("at_least", 0.6),
        "breaker_opened": ("at_least", 1.0),
        "calls_while_open": ("at_most", 0.0),
        "jobs_lost": ("at_most", 0.0),
        "integrity_share": ("at_least", 0.9),
        "memory_per_job": ("at_most", 100e6),
        "cpu_utilisation": ("at_most", 0.8),
        "memory_growth": ("at_most", 0.1),
        "memory_leaked": ("at_most", 100e6),
        "cache_hit_rate": ("at_least", 0.4),
    }
    assert of_the_design.items() <= found.items()  # a checkout may have more of its own
    assert load().get("throughput").objective.concurrency == 50


def test_shipped_queries_do_not_extrapolate_and_use_the_window() -> None:
    for sli in load().slis:
        for text in filter(None, (sli.query, sli.buckets)):
            assert not re.search(r"\b(rate|irate|increase|delta)\(", text), sli.id
            step = ":1s" if "max_over_time" in text else ""
            assert set(re.findall(r"\[[^\]]*\]", text)) == {f"[$window{step}]"}, sli.id
            # the histogram of connect times belongs to the service's process, not to a run
            assert 'run_id="$run_id"' in text or sli.id in {"connect_n", "connect_avg"}, sli.id


def test_every_shipped_histogram_query_reads_classic_or_native_buckets() -> None:
    for sli in load().slis:
        if sli.query and ("duration" in sli.query or "lateness" in sli.query):
            assert (
                len({name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in sli.metrics})
                == 1
            )
            assert " or " in sli.query, sli.id


def test_metric_names_of_a_query() -> None:
    assert load().get("queue_time_p95").metrics == (
        "video_job_queue_duration_seconds_bucket",
        "video_job_queue_duration_seconds",
    )


def test_placeholders_are_quoted_for_promql(tmp_path: Path) -> None:
    sli = load(write(tmp_path, GOOD)).get("a")
    assert sli.query is not None
    assert 'case="n\\"5"' in sli.fill(sli.query, {"run_id": "r", "scenario": "s", "case": 'n"5', "window": "60s"})


def errors_of(folder: Path, text: str, **limits: Collection[str]) -> list[str]:
    """Return every error of a catalogue, without the leading path."""
    with pytest.raises(CatalogueError) as caught:
        load(write(folder, text), **limits)
    assert str(caught.value).splitlines() == caught.value.errors
    return [error.split("slis.yaml: ", 1)[1] for error in caught.value.errors]


def entry(name: str, *more: str, text: str = GOOD) -> str:
    """Return one entry with another id and more lines."""
    lines = "".join(f"    {line}\n" for line in more)
    return text.split("slis:\n")[1].replace("id: a", f"id: {name}").replace("    why: ", f"{lines}    why: ")


def test_a_damaged_catalogue_is_one_sentence(tmp_path: Path) -> None:
    for text, sentence in (
        ("version: 2\nslis: []\n", "version is 2"),
        ("- a\n", "is not a mapping of keys to values; begin with 'version: ...'"),
        ("version: 1\nslis: [3]\n", "sli number 1 is 3; write keys with values"),
        ("version: 1\nslis: 3\n", "slis is 3; write a list"),
        ("version: 1\nsli: []\n", "unknown key 'sli'; did you mean 'slis'?"),
        ("a: [\n", "line 2: not valid YAML"),
        (GOOD.replace("[$window]", "[$ window]"), "a literal $ is written $$"),
    ):
        assert sentence in errors_of(tmp_path, text)[0]


RECORDS = """
version: 1
slis:
  - id: a
    title: A
    unit: calls
    kind: count
    dimension: reliability
    section: circuit_breaker
    scope: scenario
    source: records
    function: calls_while_open
    key: true
    objective: {value: 0, direction: at_most}
    why: because
"""


def test_an_indicator_can_be_a_function_of_the_records(tmp_path: Path) -> None:
    sli = load(write(tmp_path, RECORDS)).get("a")
    assert (sli.function, sli.query, sli.metrics, sli.key) == ("calls_while_open", None, (), True)
    assert [sli.of(dimension) for dimension in ("reliability", "performance")] == [True, False]


def test_all_contradictions_are_reported_at_once(tmp_path: Path) -> None:
    bad = (
        RECORDS.replace("function: calls_while_open", "function: calls_open\n    query: x{}\n    per_second: true")
        + entry("a1", "quantile: 0.5", "per_second: true", text=RECORDS).replace("scope: scenario", "scope: case")
        + entry("b", "function: jobs_lost")
        + entry("c", text=RECORDS).replace("    function: calls_while_open\n", "")
        + entry("d", "key: true", "n: e")
        + entry("e", text=RECORDS)
        + entry("f").replace("    query", "    kwery")
        + entry("g", "objective: {value: 1, direction: at_most, members: [tts]}", "direction: at_most")
        + entry("h", "quantile: 0.5", "min_n: 1").replace("kind: total", "kind: share")
        + entry("i", "per_second: true", "samples: request_durations")
        + entry("j", "role: mttr")
        + entry("k", "role: mttr")
        + entry("l", "n: j", "per_second: true").replace("scope: case", "scope: run").replace("total", "rate", 1)
    )
    assert errors_of(tmp_path, bad) == [
        "sli a: function is 'calls_open'; did you mean 'calls_while_open'?",
        "sli a1: source records needs scope scenario, it is case",
        "sli a1: source records has no quantile",
        "sli a1: source records has no per_second",
        "sli b: function needs source records",
        "sli c: the key 'function' is missing; add it",
        "sli d: key needs an objective, which alone can fail",
        "sli f: the key 'query' is missing; add it",
        "sli f: unknown key 'kwery'; did you mean 'key'?",
        "sli g: objective: members tts are not among those of by",
        "sli g: direction is that of the objective; leave it out",
        "sli h: quantile and buckets belong together",
        "sli h: kind quantile and the key quantile belong together",
        "sli h: kind share needs n, the indicator that counts the events",
        "sli h: min_n needs n, the indicator that gives the sample size",
        "sli i: per_second needs kind rate, it is total",
        "sli i: samples needs kind mean or quantile, it is total",
        "sli i: samples request_durations needs scope scenario, it is case",
        "sli l: query: unknown placeholder $scenario for scope run; remove it",
        "sli l: query: unknown placeholder $case for scope run; remove it",
        "sli l: per_second needs scope case, only a case has a recorded length",
        "sli d: n names 'e', which is no query",
        "sli k: role mttr is that of j; give a role once",
        "sli l: n names 'j', which differs in scope, by or scenarios",
    ]


READING = """
readings:
  - id: memory
    title: Memory
    unit: By
    dimension: resources
    selector: a_total{job="service"}
    why: because
"""


def test_all_format_errors_are_reported_at_once(tmp_path: Path) -> None:
    bad = (
        GOOD.replace("unit: s", "unit: s\n    unit: ms")  # a repeated key
        .replace("$scenario", "$scenraio").replace("$window", "$windwo")  # two placeholders in one query
        + entry("b").replace("a_total", "a_totl")
        + entry("c", "objective: {value: high, direction: up, vlaue: 1}")
        + entry("d", "by: {label: x, members: [1, two, 3]}", "min_n: 2.5")
        + entry("a").replace("    title: A\n", "").replace("a_total", "b_total")
        + entry("[e]", "n: d_", "per_second: maybe")
        + entry("g", "objective: {value: .nan, direction: at_most}", "min_n: -1", "quantile: 2", "direction: []")
        + entry("h", "by: {label: x, members: []}", "objective: {value: .inf, direction: 1}", "role: mtr", "buckets: 3")
        .replace("kind: total", "kind: sum").replace("section: cpu", "section: cpus").replace("case\n", "every\n")
        + READING.replace("unit: By", "unti: By").replace("a_total", "c_total")
    )  # fmt: skip
    assert errors_of(tmp_path, bad, needed=("a", "f", "i"), metrics={"a_total", "b_total"}) == [
        "slis.0.unit: given twice (lines 6 and 7); keep one",
        "sli a: duplicate id; give each its own",
        "sli a: query: unknown placeholder $scenraio for scope case; did you mean 'scenario'?",
        "sli a: query: unknown placeholder $windwo for scope case; did you mean 'window'?",
        "sli b: query: unknown metric 'a_totl'; did you mean 'a_total'?",
        "sli c: objective: unknown key 'vlaue'; did you mean 'value'?",
        "sli c: objective: value is 'high'; write a finite number",
        "sli c: objective: direction is 'up'; write at_most or at_least",
        "sli d: by: members: 1 is 1; write text (in quotes if it looks like a number)",
        "sli d: by: members: 3 is 3; write text (in quotes if it looks like a number)",
        "sli d: min_n is 2.5; write a whole number of 0 or more",
        "sli a: the key 'title' is missing; add it",
        "sli number 6: n names 'd_', which is no indicator; did you mean 'd'?",
        "sli number 6: id is ['e']; write text (in quotes if it looks like a number)",
        "sli number 6: per_second is 'maybe'; write true or false",
        "sli g: quantile is 2; write a number between 0 and 1",
        "sli g: min_n is -1; write a whole number of 0 or more",
        "sli g: objective: value is nan; write a finite number",
        "sli g: direction is []; write at_most or at_least",
        "sli h: role is 'mtr'; did you mean 'mttr'?",
        "sli h: kind is 'sum'; write one of share, count, quantile, mean, rate, total, value",
        "sli h: section is 'cpus'; did you mean 'cpu'?",
        "sli h: scope is 'every'; write case or scenario or run",
        "sli h: by: members is []; write the values that are expected",
        "sli h: buckets is 3; write text (in quotes if it looks like a number)",
        "sli h: objective: value is inf; write a finite number",
        "sli h: objective: direction is 1; write at_most or at_least",
        "reading memory: unknown key 'unti'; did you mean 'unit'?",
        "reading memory: the key 'unit' is missing; add it",
        "the dashboards need the indicator 'f', which is missing; put it back",
        "the dashboards need the indicator 'i', which is missing; put it back",
    ]


def test_the_metrics_of_queries_and_readings_must_be_known(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD + READING), metrics={"a_total"}).readings[0].id == "memory"
    assert errors_of(tmp_path, GOOD + READING.replace("{job", "{job}{job"), metrics={"b"}) == [
        "sli a: query: unknown metric 'a_total'; correct it, or declare it first",
        "reading memory: selector must be a metric with a selector in braces and nothing more",
        "reading memory: selector: unknown metric 'a_total'; correct it, or declare it first",
    ]


def test_every_scenario_that_the_shipped_catalogue_names_exists() -> None:
    named = {name for s in load().slis for name in (*s.scenarios, *(s.objective.scenarios if s.objective else ()))}
    assert named <= load_folder().keys()


def test_every_role_and_every_function_of_the_records_is_in_the_shipped_catalogue() -> None:
    shipped = load()
    assert [role for role in Role if shipped.of_role(role) is None] == []
    assert FUNCTIONS.keys() == set(RecordFunction) == {sli.function for sli in shipped.slis} - {None}


def test_reading_the_catalogue_loads_no_numeric_library() -> None:
    code = (
        "import sys\n"
        "from reelbench.reporting.catalogue.sli_file import load\n"
        "from reelbench.reporting.evidence import queries\n"
        "load()\n"
        "print(sorted({'numpy', 'scipy'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_duplicate_key_is_reported_once_despite_aliases(tmp_path: Path) -> None:
    text = GOOD + "    by: &both {label: x, label: y, members: [m]}\n" + entry("b", "by: *both")
    assert errors_of(tmp_path, text) == ["slis.0.by.label: given twice (lines 13 and 13); keep one"]
    assert load(write(tmp_path, text.replace("label: x, ", ""))).get("b").by.label == "y"


def test_an_indicator_follows_a_primary_one(tmp_path: Path) -> None:
    text = GOOD + entry("b", "follows: nowhere") + entry("c", "follows: b")
    assert errors_of(tmp_path, text) == [
        "sli b: follows names 'nowhere', which is no indicator, or follows another one",
        "sli c: follows names 'b', which is no indicator, or follows another one",
    ]
    slis = {sli.id: sli for sli in load().slis}
    followed = {sli.follows for sli in slis.values() if sli.follows is not None}
    assert followed == {"response_time_avg", "api_latency_avg", "stage_avg", "cancel_avg", "job_calls", "memory_leaked"}
    assert all(slis[name].better for name in followed), "a primary indicator is compared itself"
