"""A Prometheus is fetched before the command that needs it; that command says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from reelbench.exit_code import ExitCode
from reelbench.stack import prefetch
from reelbench.stack.errors import StackError


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "find_external", lambda report: None)


def test_the_prometheus_of_the_machine_is_enough(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fake_prometheus: Callable[..., Path],
    tmp_path: Path,
) -> None:
    program = fake_prometheus("3.1.0", tmp_path / "bin", tmp_path / "count")
    monkeypatch.setenv("PROMETHEUS_BIN", str(program))
    assert prefetch.main() == ExitCode.PASS
    assert (tmp_path / "count").read_text() == "run\n"
    assert capsys.readouterr() == ("", "")


def test_a_stack_that_runs_has_a_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(prefetch, "find_external", lambda report: report("warning: no Grafana") or object())
    monkeypatch.setattr(prefetch, "find_prometheus", asked.append)
    assert (prefetch.main(), asked) == (ExitCode.PASS, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [(StackError("There is no Prometheus."), ExitCode.PASS), (KeyboardInterrupt(), ExitCode.INTERRUPTED)],
)
def test_an_error_is_left_to_the_next_command_and_ctrl_c_has_no_traceback(
    error: BaseException, code: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(report: Callable[[str], None]) -> NoReturn:
        report("fetching Prometheus")
        raise error

    monkeypatch.setattr(prefetch, "find_prometheus", fail)
    assert prefetch.main() == code
    assert capsys.readouterr() == ("", "fetching Prometheus\n")
