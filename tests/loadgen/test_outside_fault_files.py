"""Scenario files with commands, faults of the network, slow clients and steps of a case."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import OptionsError, Settings, check_options
from reelbench.loadgen.plan.fault_plan import plan_faults, windows
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.plan.scenario_file import load_file, load_folder
from tests.loadgen.test_scenario_file import PACED, VALID, errors_of, unexpected

WHAT = "{target: llm, kind: outage}"
COMMAND = PACED.replace(WHAT, "{command: {start: [docker, pause, video], stop: \"docker unpause 'my video'\"}}")
NETWORK = PACED.replace(WHAT, "{network: latency, seconds: 0.5}")


def test_a_command_is_a_list_or_a_text_split_as_a_shell_would(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(COMMAND)
    spec = load_file(path)
    (fault,) = plan_faults(spec, spec.cases[0], "quick", 1)
    assert fault.command is not None
    assert fault.command.start == ("docker", "pause", "video")
    assert fault.command.stop == ("docker", "unpause", "my video")
    assert (fault.target, fault.kind, fault.side, fault.command.timeout) == ("command", "docker pause", "command", 30)
    assert [(window.side, window.at, window.until) for window in windows((fault,))] == [("command", 1, 2)]


WRONG_COMMANDS = [
    ("[docker, pause, video]", "[]", "cases.0.faults.0.what.command.start: is empty; name the program"),
    ("[docker, pause, video]", '""', "cases.0.faults.0.what.command.start: is empty; name the program"),
    (
        "[docker, pause, video]",
        "[docker, 5]",
        "cases.0.faults.0.what.command.start: is ['docker', 5]; write text, or a",
    ),
    ("[docker, pause, video]", "'docker \"pause'", "cases.0.faults.0.what.command.start: is 'docker \"pause'; close"),
    ("start: [docker, pause, video], ", "", "cases.0.faults.0.what.command.start: is missing; add it"),
    ("start: [docker", "begin: 1, start: [docker", "cases.0.faults.0.what.command.begin: unknown key; remove it"),
    ("start: [docker", "timeout: 601, start: [docker", "cases.0.faults.0.what.command.timeout: is 601; it should be"),
    (
        "start: [docker",
        "timeout: 0, start: [docker",
        "cases.0.faults.0.what.command.timeout: is 0; it should be greater",
    ),
    ("start: [docker", "environment: ['A B'], start: [docker", "cases.0.faults.0.what.command.environment.0: is 'A B'"),
    ("what: {command", "what: {rate: 0.5, command", "cases.0.faults.0.what.rate: does not belong to a command; remove"),
    ("what: {command", "what: {network: down, command", "cases.0.faults.0.what: has command and network; keep one"),
    (
        ", stop: \"docker unpause 'my video'\"",
        "",
        "cases.0.faults.0.until: does not go with a command without stop; remove it, or add the stop",
    ),
    (
        "faults: [",
        "faults: [{at: 1.5, what: {command: {start: x}}}, ",
        "cases.0.faults.1: overlaps faults.0 in time; let both begin and end together",
    ),
]


def test_a_wrong_command_is_one_line_with_its_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, COMMAND, WRONG_COMMANDS) == []


WRONG_NETWORKS = [
    ("latency", "lag", "cases.0.faults.0.what.network: is 'lag'; use 'latency', 'bandwidth', 'timeout', 'reset' or"),
    (", seconds: 0.5", "", "cases.0.faults.0.what.seconds: is missing; add it, the network fault 'latency' needs it"),
    ("latency, seconds: 0.5", "bandwidth", "cases.0.faults.0.what.kilobytes_per_second: is missing; add it"),
    ("latency", "down", "cases.0.faults.0.what.seconds: does not belong to the network fault 'down'; remove it"),
    ("0.5}", "0.5, jitter: 0.6}", "cases.0.faults.0.what.jitter: is 0.6, more than seconds (0.5); make it no more"),
    ("0.5}", "0.5, status: 503}", "cases.0.faults.0.what.status: does not belong to the network fault 'latency'"),
    ("{network: latency, seconds: 0.5}", "{rate: 0.5}", "cases.0.faults.0.what: names no fault; add target and kind"),
    ("{network: latency, seconds: 0.5}", "{target: llm}", "cases.0.faults.0.what.kind: is missing; add it"),
]


def test_a_wrong_fault_of_the_network_is_one_line_with_its_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, NETWORK, WRONG_NETWORKS) == []


def test_all_mistakes_of_a_command_are_reported_with_the_others(tmp_path: Path) -> None:
    wrong = (
        COMMAND.replace("[docker, pause, video]", "[]")
        .replace("start:", "timeout: 900, start:")
        .replace("title: Demo", "titel: Demo")
    )
    places = {line.split(": ", 2)[1] for line in errors_of(tmp_path, wrong)}
    prefix = "cases.0.faults.0.what.command"
    assert places == {"titel", "title", f"{prefix}.start", f"{prefix}.timeout"}


def test_a_command_without_stop_may_strike_often(tmp_path: Path) -> None:
    text = COMMAND.replace(", stop: \"docker unpause 'my video'\"", "").replace(
        "until: 2, ", "every: 2, times: {quick: 2, standard: 2, paper: 2}, "
    )
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    spec = load_file(path)
    assert [(f.at, f.until) for f in plan_faults(spec, spec.cases[0], "quick", 1)] == [(1, None), (3, None)]


def test_slow_clients_and_steps_of_a_case_are_planned(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(
        VALID.replace("objectives:", "cancel_after: {earliest: 0, latest: 0.1}\nobjectives:").replace(
            "    concurrency: 1\n",
            "    concurrency: 1\n    slow_clients: {every: 2, send: 3}\n    steps: [create, cancel]\n",
        )
    )
    spec = load_file(path)
    jobs = plan_case(spec, spec.cases[0], "quick", 1)
    assert [job.send_rate for job in jobs] == [None, 3_000, None, 3_000, None, 3_000]
    assert {job.steps for job in jobs} == {("create", "cancel")}
    assert all(job.cancel_after is not None for job in jobs)
    assert spec.every_step == {"create", "wait", "content", "cancel"}


WRONG_PARTS = [
    ("1\n    iter", "1\n    slow_clients: {every: 2}\n    iter", "cases.0.slow_clients: names no rate; add send, read"),
    ("1\n    iter", "1\n    steps: [wait]\n    iter", "cases.0.steps: must begin with create; put it first"),
    ("1\n    iter", "1\n    steps: []\n    iter", "cases.0.steps: is empty; remove it"),
    ("1\n    iter", "1\n    steps: [create, cancel]\n    iter", "cancel_after: is missing; add it, the step cancel"),
]


def test_wrong_parts_of_a_case_are_one_line_with_their_fix(tmp_path: Path) -> None:
    assert unexpected(tmp_path, VALID, WRONG_PARTS) == []


def settings(folder: Path, text: str, **given: object) -> Settings:
    own = folder / "own"
    own.mkdir()
    (own / "demo.yaml").write_text(text)
    options = Options(target="http://127.0.0.1:9", scenarios=own, **given)  # type: ignore[arg-type]
    return check_options(folder / "run", "r1", options)


def test_commands_run_only_with_leave_and_only_programs_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", "key-of-the-server")
    monkeypatch.setenv("ORG", "one")
    text = COMMAND.replace("[docker, pause, video]", "[./pause.sh]").replace("docker unpause 'my video'", "true")
    with pytest.raises(OptionsError) as raised:
        settings(tmp_path, text)
    assert raised.value.errors == (
        "--allow-commands: is missing; demo would run ./pause.sh. Read the files, and add it",
    )
    (tmp_path / "own" / "demo.yaml").unlink()
    (tmp_path / "own").rmdir()
    with pytest.raises(OptionsError) as raised:
        settings(tmp_path, text, allow_commands=True)
    (line,) = raised.value.errors
    assert line.startswith(
        "the program './pause.sh' of a command is not there or not executable; install it, or correct"
    )
    script = tmp_path / "own" / "pause.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    options = Options(
        target="http://127.0.0.1:9",
        scenarios=tmp_path / "own",
        allow_commands=True,
        api_key_env="ODD",
        header=("X-Org: ${ORG}",),
    )
    found = check_options(tmp_path / "run", "r1", options)
    assert found.directory == tmp_path / "own"
    assert found.secret_variables == {"ODD", "ORG"}


def test_network_faults_do_not_go_with_replicas(tmp_path: Path) -> None:
    options = Options(target="http://127.0.0.1:9", scenario=("network_faults",))
    with pytest.raises(OptionsError, match="--rendezvous: does not go with faults of the network \\(network_faults\\)"):
        check_options(tmp_path / "run", None, options, rendezvous="redis://127.0.0.1:1/0")


def test_the_scenarios_for_other_servers_need_nothing_from_inside() -> None:
    other = {name: spec for name, spec in load_folder().items() if spec.default_for == "other_servers"}
    assert set(other) == {"overload", "cancel_storm", "slow_client", "network_faults"}
    assert all(
        fault.what.target is None and not case.toggles.given()
        for spec in other.values()
        for case in spec.cases
        for fault in case.faults
    )
    assert all(spec.dimension == "reliability" for spec in other.values())
