from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.stack.embedded import EmbeddedStack
from reelbench.stack.endpoints import Endpoints
from reelbench.stack.environment import component_environment
from reelbench.stack.external import Addresses, ExternalRun, ExternalStack
from reelbench.stack.forwarding import Forwarding
from reelbench.stack.processes import Child
from reelbench.stack.prometheus import PrometheusBinary
from reelbench.stack.readiness import TelemetryEnd
from reelbench.suite.driven import Driven, exit_code_of, left_by_generator
from reelbench.suite.failures import explain
from reelbench.suite.measuring import Load, _settled, _stack_for
from tests.suite.made_runs import record


def test_the_exit_code_of_a_load_generator_without_a_complete_record() -> None:
    for end, code, messages in (
        ("sys.exit(2)", ExitCode.USAGE, 0),
        (f"signal.raise_signal({int(signal.SIGTERM)})", ExitCode.INTERRUPTED, 0),
        (f"signal.raise_signal({int(signal.SIGKILL)})", ExitCode.INCONCLUSIVE, 1),
    ):
        lines: list[str] = []
        process = subprocess.Popen([sys.executable, "-c", f"import signal, sys; {end}"])
        assert exit_code_of(Child("loadgen", process, None), lines.append) == code
        assert len(lines) == messages


def test_a_run_that_its_load_generator_left_says_that_it_has_ended(tmp_path: Path) -> None:
    done = record("r").scenarios[0]
    open_ = msgspec.structs.replace(done, name="later", state=RunState.RUNNING, ended=None)
    run = record("r", state=RunState.RUNNING, ended=None, scenarios=[done, open_])
    left = left_by_generator(tmp_path, run, RunState.FAILED)
    assert read_run(tmp_path) == left
    assert (left.state, left.ended) == (RunState.FAILED, None)
    assert [one.state for one in left.scenarios] == [RunState.COMPLETED, RunState.FAILED]


@pytest.mark.parametrize("slis", [None, Path("slis.yaml")])
def test_indicators_of_the_user_find_the_series_of_all_cases(
    slis: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = PrometheusBinary(tmp_path / "prometheus", "2.42.0", "test")
    monkeypatch.setattr("reelbench.suite.measuring.find_prometheus", lambda report: binary)
    load = Load(
        runs=tmp_path,
        arguments=(),
        target="http://127.0.0.1:1",
        slis=slis,
        charts=False,
        forwarding=Forwarding(),
        say=print,
        show=print,
    )
    stack = _stack_for(load, tmp_path / "run", {"PATH": "/bin"})
    assert isinstance(stack, EmbeddedStack)
    environment = component_environment("loadgen", Endpoints({}, {"loadgen": 1}, 2), tmp_path, stack._inherited)
    assert environment["REELBENCH_SCRAPED_SERIES"] == ("recent" if slis is None else "all")


@pytest.mark.parametrize("replicas", [1, 3])
def test_metrics_are_awaited_from_the_end_of_the_last_load_generator_and_of_each_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    awaited: list[tuple[float, dict[str, float]]] = []
    settled = TelemetryEnd(instant=9.0, complete=True, missing=[])

    def await_telemetry(_: object, after: float, **counted: float) -> TelemetryEnd:
        awaited.append((after, counted))
        return settled

    monkeypatch.setattr(ExternalRun, "await_telemetry", await_telemetry)
    monkeypatch.setattr(EmbeddedStack, "await_telemetry", await_telemetry)
    external = ExternalRun(ExternalStack(Addresses("http://s", "http://p", "", "http://c"), "3.0"), tmp_path)
    embedded = EmbeddedStack(tmp_path, prometheus=PrometheusBinary(tmp_path / "prometheus", "2.42.0", "test"))
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        driven = Driven(
            (Child("loadgen", process, None), Child("loadgen2", process, None)),
            record("r", ended=7.0, service_replicas=replicas),
            after=5.0,
            asked=False,
        )
        for stack in (external, embedded):
            assert _settled(stack, driven, ahead=0.5) == settled
    counted = {"loadgens": 2, "loadgens_after": 5.0, "service_replicas": replicas}
    assert awaited == [(7.0, {"ahead": 0.5} | counted), (7.0, {"ahead": 0.5})]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot write runs (No space left on device); make room, or choose another --runs",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs/a/run.json"),
            "cannot read or write runs/a/run.json (Permission denied); choose another --runs",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/etc/key"),
            "cannot read or write /etc/key (Permission denied); correct its permissions, or its path",
        ),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "the system refused an operation (Too many open files); run again, and report it if it stays so",
        ),
    ],
)
def test_an_error_of_the_system_is_blamed_on_the_file_that_it_names(error: OSError, sentence: str) -> None:
    assert explain(error, Path("runs")) == (ExitCode.USAGE, [sentence])
