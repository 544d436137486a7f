"""What a command loads: the time until its first work is the time of its imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reelbench.suite.commands.command_line import COMMANDS
from tests.reporting.made_run import RUN_ID, make

HEAVY = {
    "numpy",
    "scipy",
    "matplotlib",
    "opentelemetry.sdk",
    "fastapi",
    "pydantic",
    "requests",
    "aiohttp",
    "typer",
    "av",
}

CALL = """
import contextlib, io, json, sys
from reelbench.suite.commands.command_line import main
with contextlib.redirect_stdout(io.StringIO()) as said:
    code = main(sys.argv[1:])
print(json.dumps({"code": code, "said": len(said.getvalue()), "modules": sorted(sys.modules)}))
"""


def loaded(*arguments: str) -> tuple[int, set[str]]:
    done = subprocess.run([sys.executable, "-c", CALL, *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["said"] > 0
    return found["code"], set(found["modules"])


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_the_overview_loads_no_library(arguments: tuple[str, ...]) -> None:
    code, modules = loaded(*arguments)
    assert (code, modules & HEAVY) == (0, set())
    assert {name for name in modules if name.startswith("reelbench.")} == {
        "reelbench.ending",
        "reelbench.exit_code",
        "reelbench.output",
        "reelbench.suite",
        "reelbench.suite.commands",
        "reelbench.suite.commands.command_line",
    }


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"probe"}))  # probe is a client of the server
def test_the_help_of_a_command_loads_neither_charts_nor_statistics_nor_the_service(command: str) -> None:
    code, modules = loaded(command, "--help")
    never = {"scipy.stats", "matplotlib", "opentelemetry.sdk", "fastapi", "uvicorn", "aiohttp", "av", "jinja2"}
    assert (code, modules & never) == (0, set())


@pytest.mark.parametrize("command", ["list", "check", "probe"])
def test_the_help_of_a_command_without_reports_loads_no_statistics(command: str) -> None:
    assert loaded(command, "--help")[1] & {"scipy", "reelbench.reporting.export"} == set()


def test_markdown_from_kept_measurements_loads_no_charts_and_no_client(tmp_path: Path) -> None:
    folder = make().write(tmp_path)
    values = {
        "schema_version": 1,
        "run_id": RUN_ID,
        "instant": 0.0,
        "window": "1s",
        "prometheus": True,
        "measurements": [],
    }
    (folder / "measurements.json").write_text(json.dumps(values))
    code, modules = loaded("report", str(folder), "--kept", "--no-charts", "--format", "md")
    assert code in {0, 1, 3}
    assert (folder / "reports" / "performance_report.md").is_file()
    unused = {
        "matplotlib",
        "jinja2",
        "markdown_it",
        "requests",
        "scipy.stats",
        "fastapi",
        "aiohttp",
        "opentelemetry.sdk",
    }
    assert modules & unused == set()
    assert "reelbench.loadgen.options" not in modules
