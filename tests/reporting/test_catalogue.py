from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadgen.scenario_file import load_folder
from reporting.catalogue import SAMPLE, CatalogueError, load

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
    assert found == {
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
    assert 'case="n\\"5"' in sli.fill(sli.query, {**SAMPLE, "case": 'n"5'})


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
        "sli a: query: unknown placeholder $csae",
        "sli a: unknown key 'unti'",
        "sli a: the key 'unit' is missing",
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
        ("- a\n", "needs the keys version and slis, and may have readings"),
        ("version: 1\nslis: [3]\n", "entry 1 is not a mapping"),
        ("a: [\n", "is not YAML"),
        (GOOD.replace("[$window]", "[$ window]"), "a literal $ is written $$"),
        (GOOD.replace("scope: case", "scope: everywhere"), "scope: Invalid enum value 'everywhere'"),
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
        "sli c: the key 'function' is missing",
        "sli d: key needs an objective, which alone can fail",
        "sli f: unknown key 'kwery'",
        "sli f: the key 'query' is missing",
        "sli d: n names 'e', which is no query",
    ]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("objective: {value: .nan, direction: at_most}", "objective: value must be a finite number, it is nan"),
        ("objective: {value: .inf, direction: at_most}", "objective: value must be a finite number, it is inf"),
        ("min_n: -1\n    n: a", "min_n must not be negative, it is -1"),
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
