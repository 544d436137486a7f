"""``reelbench check``: whether scenario files are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.plan.scenario_file import FOLDER, MLPERF_FOLDER, ScenarioError, load_file, load_folder
from reelbench.suite.commands.console import fail


def main(
    *,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Scenario files, or folders of them. Default: the built-in scenarios.")
    ] = None,
) -> None:
    """Validate scenario files; report all their mistakes at once."""
    scenarios: list[Scenario] = []
    errors: list[str] = []
    for path in paths or [FOLDER, MLPERF_FOLDER]:
        try:
            scenarios += load_folder(path).values() if path.is_dir() else [load_file(path)]
        except ScenarioError as error:
            errors += error.errors
    if errors:
        fail(ExitCode.USAGE, errors)
    cases = sum(len(scenario.cases) for scenario in scenarios)
    typer.echo(f"valid: {len(scenarios)} scenarios with {cases} cases")
