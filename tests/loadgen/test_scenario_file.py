from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.plan.scenario import PROFILES, Case
from reelbench.loadgen.plan.scenario_file import FOLDER, ScenarioError, load_file, load_folder
from reelbench.loadgen.plan.search import expanded

VALID = """\
name: demo
dimension: performance
title: Demo
why: To test.
steps: [create, wait, content]
encoding: multipart
video: {seconds: "4", size: 720x1280}
time_limit: 60
poll_interval: 0.25
cases:
  - name: n01
    model: closed
    concurrency: 1
    iterations: {quick: 5, standard: 20, paper: 20}
    warmup: {quick: 1, standard: 2, paper: 2}
objectives: {}
"""


def errors_of(folder: Path, text: str | bytes, name: str = "demo") -> list[str]:
    path = folder / f"{name}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    return list(caught.value.errors)


def unexpected(folder: Path, base: str, table: Sequence[tuple[str, str, str]]) -> list[tuple[str, list[str]]]:
    """Change a file as in each row; the rows whose only error does not begin as expected, with their errors."""
    found = []
    for old, new, expected in table:
        assert old in base
        lines = errors_of(folder, base.replace(old, new))
        if len(lines) != 1 or not lines[0].startswith(f"demo.yaml: {expected}"):
            found.append((new, lines))
    return found


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(VALID)
    scenario = load_file(path)
    assert scenario.steps == ("create", "wait", "content")
    assert scenario.time_limit == 60
    assert [(case.name, case.iterations.of("standard"), case.warmup.of("quick")) for case in scenario.cases] == [
        ("n01", 20, 1)
    ]


MISTAKES = [
    ("poll_interval: 0.25\n", "", "poll_interval: is missing; add it"),
    ("title: Demo\n", "title: Demo\ntitel: D\n", "titel: unknown key; did you mean title?"),
    (
        "    concurrency: 1\n",
        "    concurrency: 1\n    zz: 1\n",
        "cases.0.zz: unknown key; remove it, or use name, ",
    ),
    ("time_limit: 60", 'time_limit: "60"', "time_limit: is '60'; write a number"),
    ("concurrency: 1", "concurrency: 1.0", "cases.0.concurrency: is 1.0; write a whole number"),
    ("concurrency: 1", "concurrency: yes", "cases.0.concurrency: is True; write a whole number"),
    ("concurrency: 1", "concurrency: 0", "cases.0.concurrency: is 0; it should be greater than or equal to 1"),
    ("time_limit: 60", "time_limit: .nan", "time_limit: is nan; "),
    ("time_limit: 60", "time_limit: 0", "time_limit: is 0; it should be greater than 0"),
    ('seconds: "4"', "seconds: 4", "video.seconds: is 4; use '4', '8' or '12'"),
    ("720x1280", "big", "video.size: is 'big'; String should match pattern"),
    ("[create, wait, content]", "[create, wait, wacth]", "steps.2: is 'wacth'; use 'create', 'retrieve', "),
    ("[create, wait, content]", "create", "steps: is 'create'; write a list"),
    ("[create, wait, content]", "[]", "steps: is empty; add one at least"),
    ("[create, wait, content]", "[wait, create]", "steps: must begin with create; put it first"),
    ("[create, wait, content]", "[create, content, wait]", "steps: has content before wait; move it behind"),
    ("[create, wait, content]", "[create, content]", "steps: has no wait; add it"),
    ("[create, wait, content]", "[create, wait, wait]", "steps: has wait more than once; keep one"),
    ("[create, wait, content]", "[create, delete, wait]", "steps: has delete before the end; make it the last"),
    ("name: demo", "name: other", "name: is 'other', but the file is demo.yaml; make them equal"),
    ("quick: 5, standard: 20", "quick: 5", "cases.0.iterations.standard: is missing; add it"),
    ("quick: 1, standard: 2,", "quick: 1, standard: 2, pilot: 3,", "cases.0.warmup.pilot: unknown key; remove it"),
    (
        "concurrency: 1",
        "concurrency: 6",
        "cases.0.iterations.quick: is 5, fewer than the 6 virtual users; ",
    ),
    (
        "quick: 5, standard: 20",
        "quick: true, standard: 20",
        "cases.0.iterations.quick: is True; write a whole number",
    ),
    ("    concurrency: 1\n", "    concurrency: 1\n    prompts: [a]\n", "cases.0.prompts: is ['a']; use 'unique', "),
    ("model: closed", "model: half", "cases.0.model: is 'half'; use 'closed', 'open' or 'idle'"),
    ("objectives: {}", "objectives: {a: fast}", "objectives.a: is 'fast'; write a number"),
    ("objectives: {}", "objectives: []", "objectives: is []; write keys with values"),
    ("video: {", "title: Again\nvideo: {", "title: given twice (lines 3 and 7); keep one"),
    ("quick: 1, standard: 2", "quick: 1, quick: 2, standard: 2", "cases.0.warmup.quick: given twice (lines 15 "),
]


def test_a_mistake_is_one_line_with_its_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, VALID, MISTAKES) == []


NO_MAPPING: list[tuple[str | bytes, str]] = [
    ("", "is empty; copy another scenario file to begin with"),
    ("# nothing\n", "is empty; copy another scenario file to begin with"),
    ("- a\n- b\n", "is not a mapping of keys to values; begin with 'name: ...'"),
    ("just text", "is not a mapping of keys to values; begin with 'name: ...'"),
    (b"\xff\xfe\x00\x01", "is not UTF-8 text; save it as UTF-8"),
    (b"%PDF-1.4\x00\x01", "not valid YAML: "),
    ("a: &x [1]\nb: *x\n", "line 2: not valid YAML: aliases (*name) are not allowed; write the value out"),
    ("a: [1\n", "line 2: not valid YAML: "),
    ("a: !!python/object/apply:os.getcwd []\n", "line 1: not valid YAML: could not determine a constructor"),
    ("a: 2026-99-99\n", "line 1: not valid YAML: month must be in 1..12"),
    (f"a: 1\nb: {'9' * 5000}\n", "line 2: not valid YAML: Exceeds the limit (4300 digits)"),
    (f"a: 1\nb: {'9' * 400}\n", "line 2: not valid YAML: the number is too large; correct it"),
    ("a: !!bool maybe\n", "line 1: not valid YAML: the value is not a bool; correct it"),
    ("a: \x07\n", "not valid YAML: unacceptable character #x0007: control characters are not allowed; correct it"),
    ("[" * 2000, "is nested too deeply; a scenario has three levels"),
    ("a: 1\n---\nb: 2\n", "line 2: not valid YAML: "),
    ("a: " + "x" * 70_000, "has 70003 bytes; a scenario has at most 65536"),
]


def test_a_file_without_a_mapping_is_one_sentence(tmp_path: Path) -> None:
    for text, expected in NO_MAPPING:
        (line,) = errors_of(tmp_path, text)
        assert line.startswith(f"demo.yaml: {expected}")
        assert "\n" not in line


def test_errors_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    broken = VALID.replace("title: Demo\n", "").replace("concurrency: 1", "concurrency: one")
    second = broken.replace("encoding: multipart", "encoding: zip")
    again = (
        "  - name: n01\n    model: closed\n    concurrency: 1\n"
        "    iterations: {quick: 1, standard: 1, paper: 1}\n    warmup: {}\n"
    )
    (tmp_path / "a.yaml").write_text(broken.replace("objectives", again + "objectives"))
    (tmp_path / "b.yaml").write_text(second)
    (tmp_path / "good.yaml").write_text(VALID.replace("demo", "good"))
    with pytest.raises(ScenarioError) as caught:
        load_folder(tmp_path)
    assert sorted(line.split("; ")[0] for line in caught.value.errors) == [
        "a.yaml: cases.0.concurrency: is 'one'",
        "a.yaml: cases.1.warmup.paper: is missing",
        "a.yaml: cases.1.warmup.quick: is missing",
        "a.yaml: cases.1.warmup.standard: is missing",
        "a.yaml: cases: 'n01' is the name of more than one case",
        "a.yaml: name: is 'demo', but the file is a.yaml",
        "a.yaml: title: is missing",
        "b.yaml: cases.0.concurrency: is 'one'",
        "b.yaml: encoding: is 'zip'",
        "b.yaml: name: is 'demo', but the file is b.yaml",
        "b.yaml: title: is missing",
    ]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no scenario files"):
        load_folder(tmp_path)


def test_nested_aliases_do_not_expand(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    (line,) = errors_of(tmp_path, bomb)
    assert "aliases (*name) are not allowed" in line


SHIPPED = {
    "single_request": [("n01", 1)],
    "concurrent_load": [("n01", 1), ("n05", 5), ("n10", 10), ("n20", 20), ("n35", 35), ("n50", 50)],
    "api_latency": [("n02", 2)],
    "component_speed": [("n01", 1)],
    "throughput": [("n50", 50)],
    "arrival_rate": [("constant", 0), ("poisson", 0)],
    "ramp": [("rate", 0)],
    "spike": [("burst", 0)],
    "normal_operation": [("n04", 4)],
    "tts_failures": [("n04", 4)],
    "llm_outage": [("n04", 4)],
    "store_outage": [("n04", 4)],
    "partial_failures": [("n04", 4)],
    "job_cancellation": [("n04", 4)],
    "data_integrity": [("n04", 4), ("n04_corrupt", 4)],
    "idle_baseline": [("idle", 0)],
    "single_job": [("n01", 1)],
    "resource_scaling": [("n01", 1), ("n05", 5), ("n10", 10), ("n20", 20)],
    "memory_leak": [("n01", 1)],
    "cache_efficiency": [("cold", 5), ("warm", 5), ("half_new", 5)],
    "connection_pooling": [("pooled", 5), ("unpooled", 5), ("unpooled_again", 5), ("pooled_again", 5)],
    "network_bandwidth": [("n05", 5)],
}
"""Scenarios that ship, with the jobs in flight of their cases; a checkout may have more of its own."""


def test_the_shipped_scenarios_are_those_of_the_suite() -> None:
    scenarios = load_folder()
    levels = {name: [(case.name, case.concurrency) for case in spec.cases] for name, spec in scenarios.items()}
    assert SHIPPED.items() <= levels.items()
    switched = {
        (name, case.name): case.toggles.given()
        for name, spec in scenarios.items()
        for case in spec.cases
        if name in SHIPPED and case.toggles.given()
    }
    assert switched == {
        ("memory_leak", "n01"): {"cache": False},
        ("connection_pooling", "pooled"): {"cache": False, "pooling": True},
        ("connection_pooling", "unpooled"): {"cache": False, "pooling": False},
        ("connection_pooling", "unpooled_again"): {"cache": False, "pooling": False},
        ("connection_pooling", "pooled_again"): {"cache": False, "pooling": True},
        ("network_bandwidth", "n05"): {"cache": False},
    }
    assert [case.prompts for case in scenarios["cache_efficiency"].cases] == ["unique", "repeated", "half_new"]
    leak = scenarios["memory_leak"].cases[0]
    assert (leak.iterations.quick, leak.iterations.standard, leak.warmup.quick) == (24, 60, 10)
    assert scenarios["api_latency"].steps == ("create", "retrieve", "list", "wait", "manifest", "content", "delete")
    assert scenarios["api_latency"].encoding == "alternate"
    assert scenarios["single_request"].cases[0].iterations.quick == 20


@pytest.mark.extended
def test_paper_has_enough_jobs_for_an_upper_limit_of_p99() -> None:
    for scenario in load_folder().values():
        if scenario.dimension == "performance":
            for case in expanded(scenario, "paper").cases:
                jobs = [job for job in plan_case(scenario, case, "paper", 1) if not job.warmup]
                assert len(jobs) >= 368, (scenario.name, case.name)


def test_standard_has_20_iterations_and_two_per_virtual_user() -> None:
    for scenario in load_folder().values():
        for case in scenario.cases:
            if case.model != "closed":
                continue
            assert case.iterations.standard >= max(20, 2 * case.concurrency), (scenario.name, case.name)
            assert case.iterations.quick >= 2 * case.concurrency, (scenario.name, case.name)


def test_a_case_is_left_out_of_the_profiles_that_it_does_not_name() -> None:
    load = load_folder()["concurrent_load"]
    assert [case.name for case in load.of("quick").cases] == ["n01", "n05", "n10", "n20"]
    assert [case.name for case in load.of("paper").cases] == ["n01", "n05", "n10", "n20", "n35", "n50"]


def test_quick_takes_85_seconds_and_resources_40_at_15_jobs_per_second() -> None:
    alone, rate = 0.35, 15.0

    def length(case: Case) -> float:
        if case.seconds is not None:
            return case.seconds.quick + case.warmup_seconds.quick
        return max(
            (case.iterations.quick + case.warmup.quick) * max(alone / case.concurrency, 1 / rate),
            case.iterations.quick / case.concurrency * (case.pace or 0.0),
        )

    seconds = {"resources": 0.0, "others": 0.0}
    scenarios = load_folder()
    for scenario in map(scenarios.__getitem__, SHIPPED):
        kind = "resources" if scenario.dimension == "resources" else "others"
        seconds[kind] += sum(length(case) for case in scenario.of("quick").cases)
        seconds[kind] += scenario.cooldown * (len(scenario.cases) + 1 if scenario.cooldown else 0)
    assert seconds["others"] < 85
    assert seconds["resources"] < 40


IDLE = """\
  - name: n00
    model: idle
    seconds: {quick: 5, standard: 30, paper: 30}
objectives: {}
"""
AGAIN = """\
  - name: n02
    model: closed
    concurrency: 1
    iterations: {quick: 5, standard: 20, paper: 20}
    warmup: {quick: 1, standard: 2, paper: 2}
    prompts: repeated
objectives: {}
"""
LAST = "objectives: {}\n"


MORE_MISTAKES = [
    (
        VALID.replace("    concurrency: 1\n", ""),
        ["cases.0.concurrency: is missing; add it"],
    ),
    (
        VALID.replace(LAST, "    seconds: {quick: 1, standard: 1, paper: 1}\n" + LAST),
        ["cases.0.seconds: does not belong to the model closed, which ends with its jobs; remove it"],
    ),
    (
        VALID.replace(LAST, IDLE.replace("    seconds: {quick: 5, standard: 30, paper: 30}\n", "")),
        ["cases.1.seconds: is missing; add it, it is the length of an idle case"],
    ),
    (
        VALID.replace(
            LAST, IDLE.replace("model: idle\n", "model: idle\n    warmup: {quick: 0, standard: 0, paper: 0}\n")
        ),
        ["cases.1.warmup: does not belong to the model idle, which sends nothing; remove it"],
    ),
    (
        VALID.replace(LAST, IDLE.replace("quick: 5", "quick: 0")),
        ["cases.1.seconds.quick: is 0; it should be greater than or equal to 1"],
    ),
    (
        VALID.replace(LAST, IDLE.replace("quick: 5", "qick: 5")),
        [
            "cases.1.seconds.quick: is missing; add it",
            "cases.1.seconds.qick: unknown key; did you mean quick?",
        ],
    ),
    (
        VALID.replace(LAST, "    switches: {pooling: 0, cash: true}\n" + LAST),
        [
            "cases.0.switches.pooling: is 0; write true or false",
            "cases.0.switches.cash: unknown key; did you mean cache?",
        ],
    ),
    (
        VALID.replace(LAST, "    prompts: new\n" + LAST),
        ["cases.0.prompts: is 'new'; use 'unique', 'repeated' or 'half_new'"],
    ),
    (
        VALID.replace(LAST, "    prompts: half_new\n" + LAST),
        ["cases.0.prompts: is 'half_new', but no case with jobs is before it; put it behind the one it repeats"],
    ),
    (
        VALID.replace(LAST, AGAIN.replace("quick: 5", "quick: 6")),
        ["cases.1.iterations.quick: is 6, more than the 5 prompts of the case before; make it no more"],
    ),
    (VALID.replace("time_limit", "rest: -1\ntime_limit"), ["rest: is -1; it should be greater than or equal to 0"]),
    (
        VALID.replace("time_limit", "rest: long\ntime_limit").replace(LAST, "    switches: off\n" + LAST),
        ["rest: is 'long'; write a number", "cases.0.switches: is False; write keys with values"],
    ),
]


def test_mistakes_in_idle_cases_toggles_prompts_and_cooldowns_are_reported_together(tmp_path: Path) -> None:
    for text, expected in MORE_MISTAKES:
        assert errors_of(tmp_path, text) == [f"demo.yaml: {line}" for line in expected]


def test_idle_cases_toggles_prompts_and_cooldowns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    text = VALID.replace("time_limit", "rest: 1.5\ntime_limit").replace(LAST, AGAIN)
    path.write_text(text.replace(LAST, "    switches: {cache: false, pooling: true}\n" + IDLE))
    scenario = load_file(path)
    first, again, idle = scenario.cases
    assert (scenario.cooldown, again.prompts, again.toggles.given()) == (
        1.5,
        "repeated",
        {"cache": False, "pooling": True},
    )
    assert (first.prompts, first.toggles.given(), first.seconds) == ("unique", {}, None)
    assert idle.seconds is not None
    assert (idle.seconds.of("quick"), idle.concurrency, idle.iterations.of("quick")) == (5, 0, 0)


FAULT = "{at: 1, until: 2, what: {target: llm, kind: outage}}"
PACED = VALID.replace("concurrency: 1\n", f"concurrency: 1\n    pace: 1\n    faults: [{FAULT}]\n")


def test_faults_of_a_valid_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(PACED)
    (fault,) = load_file(path).cases[0].faults
    assert (fault.at, fault.until, fault.every, fault.times.of("quick")) == (1, 2, None, 1)
    assert (fault.what.target, fault.what.kind, fault.what.rate) == ("llm", "outage", 1.0)


IMPOSSIBLE_FAULTS = [
    ("until: 2", "until: 0.5", "cases.0.faults.0.until: is 0.5, not after at (1); make it later"),
    ("until: 2", "until: 1", "cases.0.faults.0.until: is 1, not after at (1); make it later"),
    ("at: 1", "at: -1", "cases.0.faults.0.at: is -1; it should be greater than or equal to 0"),
    ("llm", "disk", "cases.0.faults.0.what.target: is 'disk'; use 'llm', 'tts', 'image' or 'store'"),
    ("outage", "fire", "cases.0.faults.0.what.kind: is 'fire'; use 'outage', 'stall', 'error', 'corrupt'"),
    ("outage", "error, rate: 1.5", "cases.0.faults.0.what.rate: is 1.5; it should be less than or equal to 1"),
    ("outage", "error, rate: 0", "cases.0.faults.0.what.rate: is 0; it should be greater than 0"),
    ("outage", "error, status: 200", "cases.0.faults.0.what.status: is 200; it should be greater than or equal"),
    ("outage", "outage, rate: 0.5", "cases.0.faults.0.what.rate: is 0.5; remove it, an outage refuses every"),
    ("outage", "outage, status: 503", "cases.0.faults.0.what.status: does not belong to the kind 'outage'"),
    ("outage", "latency", "cases.0.faults.0.what.seconds: is missing; add it, a latency needs it"),
    ("llm, kind: outage", "store, kind: corrupt", "cases.0.faults.0.what.kind: is 'corrupt', which the store"),
    ("llm, kind: outage", "store, kind: error, status: 500", "cases.0.faults.0.what.status: does not belong to"),
    (
        "until: 2",
        "until: 2, every: 1, times: {quick: 2, standard: 2, paper: 2}",
        "cases.0.faults.0.every: is 1, not longer",
    ),
    (
        "until: 2",
        "until: 2, times: {quick: 2, standard: 2, paper: 2}",
        "cases.0.faults.0.every: is missing; add it",
    ),
    ("until: 2, ", "every: 3, ", "cases.0.faults.0.until: is missing; add it, a fault must end before"),
    ("    pace: 1\n", "", "cases.0.pace: is missing; add it, the length of a case"),
    ("until: 2", "until: 5", "cases.0.faults: end after 5 s in the profile quick, but its jobs may end after 4 s"),
    (f"[{FAULT}]", f"[{FAULT}, {FAULT}]", "cases.0.faults.1: overlaps faults.0 in time; let both begin"),
    (
        f"[{FAULT}]",
        f"[{FAULT}, {{at: 1.5, until: 3, what: {{target: tts, kind: outage}}}}]",
        "cases.0.faults.1: overlaps faults.0 in time; let both begin and end together, or one",
    ),
    ("until: 2", "untill: 2", "cases.0.faults.0.untill: unknown key; did you mean until?"),
]


def test_an_impossible_fault_is_one_line_with_its_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, PACED, IMPOSSIBLE_FAULTS) == []


def test_all_mistakes_of_a_fault_plan_are_reported_at_once(tmp_path: Path) -> None:
    wrong = PACED.replace("until: 2", "until: 0.5").replace("outage", "outage, rate: 0.5, seconds: 3")
    assert [line.split(": ", 2)[1] for line in errors_of(tmp_path, wrong)] == [
        "cases.0.faults.0.until",
        "cases.0.faults.0.what.rate",
        "cases.0.faults.0.what.seconds",
    ]


STEPS = [
    ("[create, cancel]", "", "cancel_after: is missing; add it, the step cancel needs it"),
    ("[create, wait]", "cancel_after: {earliest: 0, latest: 1}", "cancel_after: is given without the step cancel"),
    (
        "[create, cancel]",
        "cancel_after: {earliest: 2, latest: 1}",
        "cancel_after.latest: is 1, before earliest (2)",
    ),
    ("[create, wait, cancel]", "cancel_after: {earliest: 0, latest: 1}", "steps: has wait and cancel; remove one"),
    ("[create, wait, assets]", "", "steps: has assets without manifest before it; add it, it names the files"),
]


def test_cancellation_and_assets_have_their_rules(tmp_path: Path) -> None:
    for steps, more, expected in STEPS:
        text = VALID.replace("[create, wait, content]", steps).replace("objectives", f"{more}\nobjectives")
        (line,) = errors_of(tmp_path, text)
        assert line.startswith(f"demo.yaml: {expected}")


OPEN = """\
  - name: open
    model: open
    rate: 5
    arrivals: poisson
    seconds: {quick: 5, standard: 30, paper: 30}
    warmup_seconds: {quick: 1, standard: 1, paper: 1}
    burst:
      rate: {quick: 9, standard: 9.5, paper: 9}
      at: {quick: 1, standard: 1, paper: 1}
      seconds: {quick: 2, standard: 3, paper: 4}
    drain: 4.5
    max_in_flight: 64
objectives: {}
"""


def with_open(old: str = "", new: str = "") -> str:
    assert old in OPEN
    return VALID.replace("objectives: {}\n", OPEN.replace(old, new) if old else OPEN)


def test_an_open_case_is_read_and_one_rate_serves_all_profiles(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(with_open())
    case = load_file(path).cases[1]
    assert case.rate is not None
    assert case.burst is not None
    assert [case.rate.of(profile) for profile in PROFILES] == [5, 5, 5]
    assert [case.burst.rate.of(profile) for profile in PROFILES] == [9, 9.5, 9]
    assert (case.arrivals, case.graceful_stop, case.max_in_flight, case.warmup_seconds.paper) == ("poisson", 4.5, 64, 1)


OPEN_MISTAKES = [
        ("    rate: 5\n", "", "cases.1.rate: is missing; add it"),
        ("    arrivals: poisson\n", "", "cases.1.arrivals: is missing; add it"),
        ("    seconds: {quick: 5, standard: 30, paper: 30}\n", "", "cases.1.seconds: is missing; add it, it is how"),
        ("    warmup_seconds: {quick: 1, standard: 1, paper: 1}\n", "", "cases.1.warmup_seconds: is missing; add it"),
        ("    rate: 5\n", "    rate:\n", "cases.1.rate: is missing; add it"),
        ("    arrivals: poisson\n", "    arrivals: null\n", "cases.1.arrivals: is missing; add it"),
        ("    seconds: {quick: 5, standard: 30, paper: 30}\n", "    seconds:\n", "cases.1.seconds: is missing; add it"),
        ("    rate: 5\n", "    rate: 0\n", "cases.1.rate: is 0; write a number above 0 and up to 10,000 jobs "),
        ("    rate: 5\n", "    rate: fast\n", "cases.1.rate: is 'fast'; write a number of jobs per second, or one"),
        ("    rate: 5\n", "    rate: yes\n", "cases.1.rate: is True; write a number of jobs per second, or one"),
        ("    rate: 5\n", "    rate: {quick: 5, standard: 5}\n", "cases.1.rate.paper: is missing; add it"),
        ("    rate: 5\n", "    rate: {quick: 5, standard: 5, paper: 0}\n", "cases.1.rate.paper: is 0; it should be "),
        ("    rate: 5\n", "    rate: 0.1\n", "cases.1.rate: gives less than one job in the profile quick; raise it"),
        ("poisson", "regular", "cases.1.arrivals: is 'regular'; use 'constant' or 'poisson'"),
        ("seconds: {quick: 2,", "seconds: {quick: 4,", "cases.1.burst: ends after 5 s in the profile quick, but jobs"),
        ("      at:", "      length: 3\n      at:", "cases.1.burst.length: unknown key; remove it, or use "),
        ("drain: 4.5", "drain: 0", "cases.1.drain: is 0; it should be greater than 0"),
        ("max_in_flight: 64", "max_in_flight: 1001", "cases.1.max_in_flight: is 1001; it should be less than or eq"),
        (
            "    drain: 4.5\n",
            "    faults: [{at: 1, until: 5, what: {target: llm, kind: outage}}]\n",
            "cases.1.faults: end after 5 s in the profile quick, but jobs arrive for 5 s; make seconds longer",
        ),
    ]  # fmt: skip


def test_a_mistake_in_an_open_case_is_one_line_with_its_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, with_open(), OPEN_MISTAKES) == []
    warmup = "    warmup: {quick: 0, standard: 0, paper: 0}\n"
    (line,) = errors_of(tmp_path, with_open("    rate: 5\n", f"    rate: 5\n{warmup}"))
    assert line.startswith("demo.yaml: cases.1.warmup: does not belong to the model open, whose")


def test_too_many_jobs_in_an_open_case_are_rejected_for_that_profile(tmp_path: Path) -> None:
    text = with_open("    rate: 5\n", "    rate: {quick: 5, standard: 1000, paper: 1000}\n")
    text = text.replace("standard: 30, paper: 30}", "standard: 100, paper: 102}")
    text = text.replace("paper: 102}", "paper: 104}")
    # 1 s of warm-up and 104 - 4 s at 1,000, 4 s at 9 jobs per second
    (line,) = errors_of(tmp_path, text)
    assert line == (
        "demo.yaml: cases.1.rate: gives 101,036 jobs in the profile paper, more than 100,000; lower it, or make "
        "seconds shorter"
    )


def test_keys_of_open_cases_are_rejected_in_other_models(tmp_path: Path) -> None:
    foreign = "does not belong to the model closed, which ends with its jobs; remove it"
    table = [
        ("    concurrency: 1\n", f"    concurrency: 1\n    {key}\n", f"cases.0.{key.partition(':')[0]}: {foreign}")
        for key in ("rate: 5", "arrivals: constant", "drain: 3", "max_in_flight: 9")
    ]
    assert unexpected(tmp_path, VALID, table) == []


def test_a_cooldown_is_rejected_in_an_open_case(tmp_path: Path) -> None:
    (line,) = errors_of(tmp_path, with_open().replace("time_limit: 60", "rest: 1\ntime_limit: 60"))
    assert line.startswith("demo.yaml: rest: does not go with the model open")


def test_a_paced_case_without_concurrency_gives_one_error(tmp_path: Path) -> None:
    text = (FOLDER / "llm_outage.yaml").read_text()
    assert text.count("    concurrency: 4\n") == 1
    path = tmp_path / "llm_outage.yaml"
    path.write_text(text.replace("    concurrency: 4\n", ""))
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    assert caught.value.errors == ("llm_outage.yaml: cases.0.concurrency: is missing; add it",)


def test_an_unprintable_key_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text('name: trial\n"a\\nb": 1\n')
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    (line,) = [error for error in caught.value.errors if "unknown key" in error]
    assert line.startswith(r"trial.yaml: 'a\nb': unknown key; ")
