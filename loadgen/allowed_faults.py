"""The user's leave for faults that reach beyond the target: commands and the network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from reelbench.loadgen.option_line import Options
from reelbench.loadgen.plan.fault_plan import commands, sides
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.target.target_file import TargetFile


def fault_errors(scenarios: Sequence[Scenario], options: Options, rendezvous: str | None) -> list[str]:
    """Return what is wrong with running the faults of these scenarios: commands need leave, and their programs."""
    commanded = [scenario for scenario in scenarios if commands(scenario)]
    names = ", ".join(scenario.name for scenario in commanded)
    errors = []
    if commanded and not options.allow_commands:
        programs = dict.fromkeys(command.start[0] for scenario in commanded for command in commands(scenario))
        errors.append(
            f"--allow-commands: is missing; {names} would run {', '.join(programs)}. Read the files, and add it"
        )
    elif commanded:
        errors += _missing_programs(commanded, directory_of(options), os.environ.get("PATH", os.defpath))
    if rendezvous is not None and (through := [s.name for s in scenarios if "network" in sides(s)]):
        errors.append(
            f"--rendezvous: does not go with faults of the network ({', '.join(through)}), whose proxy serves one load "
            "generator; leave them out"
        )
    return errors


def directory_of(options: Options) -> Path:
    """Return the folder in which commands run: that of the scenario files, as the built-in scenarios have none."""
    return (options.scenarios or Path()).absolute()


def secret_variables(options: Options, server: TargetFile | None) -> frozenset[str]:
    """Return the environment variables that the options and the target file name for keys and headers."""
    access = server.access if server is not None else None
    keys = [options.api_key_env, access.api_key_env if access is not None else None]
    headers = [*options.header, *(access.headers.values() if access is not None else ())]
    named = [name for header in headers for name in re.findall(r"\$\{(\w+)\}", header)]
    return frozenset([*named, *(key for key in keys if key)])


def _missing_programs(scenarios: Sequence[Scenario], directory: Path, path: str) -> list[str]:
    """Return one sentence for each program of the commands that is not there."""
    found = dict.fromkeys(
        argv[0]
        for scenario in scenarios
        for command in commands(scenario)
        for argv in (command.start, command.stop)
        if argv
    )
    return [
        f"the program {name!r} of a command is not there or not executable; install it, or correct the scenario file"
        for name in found
        if shutil.which(str(directory / name) if os.sep in name else name, path=path) is None
    ]
