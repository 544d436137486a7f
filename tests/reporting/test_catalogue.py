from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.reporting.catalogue.sli import CatalogueError, load

GOOD = """
version: 1
slis:
  - id: a
    title: A
    unit: s
    dimension: performance
    section: x
    scope: case
    query: 'sum(a_total{run_id="$run_id",scenario="$scenario",case="$case"}[$window])'
    why: because
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "slis.yaml"
    path.write_text(text)
    return path


def test_the_shipped_catalogue_loads_and_holds_the_objectives_of_the_design() -> None:
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
    assert load().get("throughput").objective.concurrency == 50  # type: ignore[union-attr]


def test_no_shipped_query_extrapolates_and_every_range_is_the_window() -> None:
    for sli in load().slis:
        for text in filter(None, (sli.query, sli.buckets)):
            assert not re.search(r"\b(rate|irate|increase|delta)\(", text), sli.id
            step = ":1s" if "max_over_time" in text else ""
            assert set(re.findall(r"\[[^\]]*\]", text)) == {f"[$window{step}]"}, sli.id
            # the histogram of connect times belongs to the service's process and to no run
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


def test_filling_quotes_values_for_promql(tmp_path: Path) -> None:
    sli = load(write(tmp_path, GOOD)).get("a")
    assert 'case="n\\"5"' in sli.fill(sli.query, {"run_id": "r", "scenario": "s", "case": 'n"5', "window": "60s"})


def test_all_errors_are_named_at_once(tmp_path: Path) -> None:
    bad = (
        GOOD.replace("$case", "$csae")
        + GOOD.split("slis:\n")[1].replace("unit: s", "unti: s")
        + (
            GOOD.split("slis:\n")[1]
            .replace("scope: case", "scope: scenario")
            .replace("why: because", "why: because\n    n: nothing\n    quantile: 2")
        )
    )
    with pytest.raises(CatalogueError) as caught:
        load(write(tmp_path, bad))
    text = str(caught.value)
    assert text.splitlines() == caught.value.errors
    for part in (
        "sli a: query: unknown placeholder $csae for scope case; did you mean 'case'?",
        "sli a: unknown key 'unti'; did you mean 'unit'?",
        "sli a: the key 'unit' is missing; add it",
        "sli a: query: unknown placeholder $case for scope scenario",
        "sli a: quantile and buckets belong together",
        "sli a: quantile must lie between 0 and 1",
        "sli a: duplicate id",
        "sli a: n names 'nothing', which is no indicator",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("version: 2\nslis: []\n", "version is 2"),
        ("- a\n", "is not a mapping of keys to values; begin with 'version: ...'"),
        ("version: 1\nslis: [3]\n", "sli number 1 is 3; write keys with values"),
        ("version: 1\nslis: 3\n", "slis is 3; write a list"),
        ("version: 1\nsli: []\n", "unknown key 'sli'; did you mean 'slis'?"),
        ("a: [\n", "line 2: not valid YAML"),
        (GOOD.replace("[$window]", "[$ window]"), "a literal $ is written $$"),
        (GOOD.replace("scope: case", "scope: everywhere"), "scope is 'everywhere'; write case or scenario or run"),
    ],
)
def test_a_damaged_catalogue_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(CatalogueError, match=re.escape(sentence)):
        load(write(tmp_path, text))


RECORDS = """
version: 1
slis:
  - id: a
    title: A
    unit: calls
    dimension: reliability
    section: x
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


def test_every_error_of_an_indicator_of_records_is_named_at_once(tmp_path: Path) -> None:
    bad = (
        RECORDS.replace("function: calls_while_open", "function: calls\n    query: x{}\n    per_second: true")
        .replace("scope: scenario", "scope: case")
        .replace("direction: at_most}", "direction: at_most, members: [tts]}")
        + GOOD.split("slis:\n")[1].replace("id: a", "id: b").replace("    query", "    function: jobs_lost\n    query")
        + RECORDS.split("slis:\n")[1].replace("id: a", "id: c").replace("    function: calls_while_open\n", "")
        + GOOD.split("slis:\n")[1].replace("id: a", "id: d").replace("    why", "    key: true\n    n: e\n    why")
        + RECORDS.split("slis:\n")[1].replace("id: a", "id: e")
        + GOOD.split("slis:\n")[1].replace("id: a", "id: f").replace("    query", "    kwery")
    )
    with pytest.raises(CatalogueError) as caught:
        load(write(tmp_path, bad))
    known = (
        "calls_while_open, breaker_opened, mean_time_to_recovery, integrity_share, jobs_lost, memory_per_job, "
        "cpu_utilisation, memory_growth, memory_leaked, sustained_rate, spike_recovery"
    )
    assert [error.split(": ", 1)[1] for error in caught.value.errors] == [
        f"sli a: function 'calls' is not known, it must be one of {known}",
        "sli a: source records needs scope scenario, it is case",
        "sli a: source records has no query",
        "sli a: source records has no per_second",
        "sli a: objective: members tts are not among those of by",
        "sli b: function needs source records",
        "sli c: the key 'function' is missing; add it",
        "sli d: key needs an objective, which alone can fail",
        "sli f: the key 'query' is missing; add it",
        "sli f: unknown key 'kwery'; did you mean 'key'?",
        "sli d: n names 'e', which is no query",
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


def test_every_kind_of_mistake_in_one_file_is_told_in_one_go(tmp_path: Path) -> None:
    entry = GOOD.split("slis:\n")[1]
    objective, by = "objective: {value: high, direction: up, vlaue: 1}", "by: {label: x, members: [1, two, 3]}"
    bad = (
        GOOD.replace("unit: s", "unit: s\n    unit: ms")  # a repeated key
        .replace("$scenario", "$scenraio").replace("$window", "$windwo")  # two placeholders in one query
        + entry.replace("id: a", "id: b").replace("title: B", "title: 3").replace("a_total", "a_totl")
        + entry.replace("id: a", "id: c").replace("    why", f"    {objective}\n    why")
        + entry.replace("id: a", "id: d").replace("    why", f"    {by}\n    min_n: 2.5\n    why")
        + entry.replace("id: a", "id: a").replace("    title: A\n", "").replace("a_total", "b_total")
        + entry.replace("id: a", "id: [e]").replace("    why", "    n: d_\n    per_second: maybe\n    why")
        + READING.replace("unit: By", "unti: By").replace("a_total", "c_total")
    )  # fmt: skip
    with pytest.raises(CatalogueError) as caught:
        load(write(tmp_path, bad), needed=("a", "f", "g"), metrics={"a_total", "b_total"})
    assert [error.split("slis.yaml: ", 1)[1] for error in caught.value.errors] == [
        "slis.0.unit: given twice (lines 6 and 7); keep one",
        "sli a: duplicate id; give each its own",
        "sli a: query: unknown placeholder $scenraio for scope case; did you mean 'scenario'?",
        "sli a: query: unknown placeholder $windwo for scope case; did you mean 'window'?",
        "sli b: query: unknown metric 'a_totl'; did you mean 'a_total'?",
        "sli c: objective: unknown key 'vlaue'; did you mean 'value'?",
        "sli c: objective: value is 'high'; write a number",
        "sli c: objective: direction is 'up'; write at_most or at_least",
        "sli d: by: members: 1 is 1; write text (in quotes if it looks like a number)",
        "sli d: by: members: 3 is 3; write text (in quotes if it looks like a number)",
        "sli d: min_n is 2.5; write a whole number",
        "sli a: the key 'title' is missing; add it",
        "sli number 6: n names 'd_', which is no indicator; did you mean 'd'?",
        "sli number 6: id is ['e']; write text (in quotes if it looks like a number)",
        "sli number 6: per_second is 'maybe'; write true or false",
        "reading memory: unknown key 'unti'; did you mean 'unit'?",
        "reading memory: the key 'unit' is missing; add it",
        "the dashboards need the indicator 'f', which is missing; put it back",
        "the dashboards need the indicator 'g', which is missing; put it back",
    ]


def test_the_metrics_of_queries_and_readings_must_be_known(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + READING)
    assert load(path, metrics={"a_total"}).readings[0].id == "memory"
    with pytest.raises(CatalogueError) as caught:
        load(path, metrics={"b"})
    assert [error.split("slis.yaml: ", 1)[1] for error in caught.value.errors] == [
        "sli a: query: unknown metric 'a_total'; correct it, or declare it first",
        "reading memory: selector: unknown metric 'a_total'; correct it, or declare it first",
    ]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("objective: {value: .nan, direction: at_most}", "objective: value must be a finite number, it is nan"),
        ("objective: {value: .inf, direction: at_most}", "objective: value must be a finite number, it is inf"),
        ("min_n: -1\n    n: a", "min_n must not be negative, it is -1"),
        (
            "direction: at_most\n    objective: {value: 1, direction: at_least}",
            "direction is that of the objective; leave it out",
        ),
        ("by: {label: x, members: []}", "by: members is empty; name the values that are expected"),
    ],
)
def test_what_would_change_or_remove_a_verdict_in_silence_is_refused(tmp_path: Path, more: str, complaint: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(write(tmp_path, f"{GOOD}    {more}\n"))
    (error,) = caught.value.errors
    assert error.endswith(f"sli a: {complaint}")


def test_every_scenario_that_the_shipped_catalogue_names_exists() -> None:
    named = {name for s in load().slis for name in (*s.scenarios, *(s.objective.scenarios if s.objective else ()))}
    assert named <= load_folder().keys()


def test_a_key_given_twice_is_told_once_however_many_aliases_repeat_it(tmp_path: Path) -> None:
    text = GOOD + "    by: &both {label: x, label: y, members: [m]}\n"
    other = GOOD.split("slis:\n")[1].replace("id: a", "id: b") + "    by: *both\n"
    with pytest.raises(CatalogueError) as caught:
        load(write(tmp_path, text + other))
    (error,) = caught.value.errors
    assert error.endswith("slis.0.by.label: given twice (lines 12 and 12); keep one")
    assert load(write(tmp_path, (text + other).replace("label: x, ", ""))).get("b").by.label == "y"  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ["[]", "up", "1"])
def test_a_direction_that_is_none_is_told_with_the_two_there_are(tmp_path: Path, value: str) -> None:
    with pytest.raises(CatalogueError, match=r"direction is .*; write at_most or at_least$"):
        load(write(tmp_path, GOOD.replace("why: because", f"why: because\n    direction: {value}")))
