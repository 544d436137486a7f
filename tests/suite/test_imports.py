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
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = main(arguments)
    print(json.dumps({"code": code, "said": len(said.getvalue()), "modules": sorted(sys.modules)}))
"""


def loaded(*commands: list[str]) -> list[tuple[int, set[str]]]:
    """Call commands one after the other in one process; return each exit code and all modules loaded until its end."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, json.dumps(commands)], capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(commands)
    assert all(one["said"] > 0 for one in found)
    return [(one["code"], set(one["modules"])) for one in found]


def test_the_overview_loads_no_library() -> None:
    for code, modules in loaded(["--help"], ["-h"]):
        assert (code, modules & HEAVY) == (0, set())
        assert {name for name in modules if name.startswith("reelbench.")} == {
            "reelbench.ending",
            "reelbench.exit_code",
            "reelbench.output",
            "reelbench.suite",
            "reelbench.suite.commands",
            "reelbench.suite.commands.command_line",
        }


@pytest.mark.extended
def test_the_help_of_a_command_loads_neither_charts_nor_statistics_nor_the_service() -> None:
    commands = sorted(COMMANDS.keys() - {"probe"})  # probe is a client of the server
    never = {"scipy.stats", "matplotlib", "opentelemetry.sdk", "fastapi", "uvicorn", "aiohttp", "av", "jinja2"}
    found = loaded(*([command, "--help"] for command in commands))
    assert len(found) > 5
    for command, (code, modules) in zip(commands, found, strict=True):
        assert (code, modules & never) == (0, set()), f"loaded by {command}"


@pytest.mark.extended
def test_the_help_of_a_command_without_reports_loads_no_statistics() -> None:
    commands = ["list", "check", "probe"]
    for command, (code, modules) in zip(commands, loaded(*([name, "--help"] for name in commands)), strict=True):
        assert (code, modules & {"scipy", "reelbench.reporting.export"}) == (0, set()), f"loaded by {command}"


@pytest.mark.extended
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
    ((code, modules),) = loaded(["report", str(folder), "--kept", "--no-charts", "--format", "md"])
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
        "numpy.f2py.crackfortran",
        "numpy.polynomial.polynomial",
        "numpy.random.mtrand",
        "numpy.testing._private",
    }
    assert modules & unused == set()
    assert "reelbench.loadgen.options" not in modules


@pytest.mark.extended
def test_packages_of_numpy_that_are_loaded_later_work() -> None:
    code = """
import sys
import reelbench.reporting.statistics.special_functions
assert "numpy.ma.core" not in sys.modules
import numpy as np
from scipy import stats
print(np.ma.array([1, 2], mask=[True, False]).sum(), np.polynomial.Polynomial([1, 2])(3))
print(np.random.default_rng(7).integers(1, 2))
np.testing.assert_allclose(stats.t.cdf(0, 3), 0.5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["2", "7.0", "1"], "")
