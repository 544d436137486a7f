"""``reelbench check``: whether scenario files, prompts files and traces of arrivals are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.plan.row_file import ROW_FILES, RowFileError, is_trace, read_rows
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.plan.scenario_file import FOLDER, MLPERF_FOLDER, ScenarioError, load_file, load_folder
from reelbench.suite.commands.console import echo, fail


def main(
    *,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Scenario files or folders, prompts files, traces of arrivals. Default: the built-in scenarios."
        ),
    ] = None,
) -> None:
    """Validate files; report all their mistakes at once."""
    scenarios: list[Scenario] = []
    errors: list[str] = []
    valid: list[str] = []
    for path in paths or [FOLDER, MLPERF_FOLDER]:
        try:
            if path.suffix.lower() in ROW_FILES:
                valid.append(_rows(path))
            else:
                scenarios += load_folder(path).values() if path.is_dir() else [load_file(path)]
        except (ScenarioError, RowFileError) as error:
            errors += error.errors
    if errors:
        fail(ExitCode.USAGE, errors)
    if scenarios:
        cases = sum(len(scenario.cases) for scenario in scenarios)
        valid.insert(0, f"valid: {len(scenarios)} scenarios with {cases} cases")
    for line in valid:
        echo(line)


def _rows(path: Path) -> str:
    """Return a line about the rows of a valid file."""
    timed = is_trace(path)
    count = read_rows(path, timed=timed).record.rows
    return f"valid: {path.name}, {count:,} {'arrival' if timed else 'prompt'}{'' if count == 1 else 's'}"
