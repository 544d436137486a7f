"""What ran, in words: the commit, and the settings, environment and versions of each process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.run import EnvironmentRecord
from reelbench.reporting.document.text import literal
from reelbench.telemetry.running import Running

_OF_THE_PLACE = ("_URL", "_PORT", "_HOST", "_ENDPOINT")
"""Ends of the names of addresses: an embedded stack takes free ports, so they differ from run to run."""


def no_commit(machine: EnvironmentRecord) -> str:
    """Return why a run has no commit."""
    return machine.no_commit or "not a checkout"


def rows(conditions: ConditionsRecord | None) -> list[tuple[str, str]]:
    """Return a row for each process: its settings that are not the default, and its environment."""
    if conditions is None or not conditions.processes:
        return [("Settings of the processes", "not recorded")]
    found = []
    for one in conditions.processes:
        changed = ", ".join(_written(name, one.settings[name]) for name in one.changed if _shown(name, one.settings))
        if one.settings:
            found.append((f"Settings of {one.name}", f"{changed or 'all defaults'} (all: `conditions.json`)"))
        # Variables of telemetry are set by the stack; the file has them.
        variables = {name: value for name, value in one.environment.items() if not name.startswith("OTEL_")}
        if given := ", ".join(_written(name, value) for name, value in variables.items()):
            found.append((f"Environment of {one.name}", given))
    return found


def _shown(name: str, settings: Mapping[str, str]) -> bool:
    return name in settings and not name.endswith(_OF_THE_PLACE)


def _written(name: str, value: str) -> str:
    return literal(f"{name}={value}")


def facts(conditions: ConditionsRecord) -> Iterator[tuple[str, str]]:
    """Yield each setting, variable and version of each process that does not name a place."""
    for one in conditions.processes:
        yield from ((f"{one.name}: {name}", value) for name, value in _values(one))


def _values(process: Running) -> Iterator[tuple[str, str]]:
    for name, value in (process.settings | process.environment).items():
        if not name.endswith(_OF_THE_PLACE):
            yield name, literal(value)
    for name, value in process.versions.items():
        yield f"version of {name}", literal(value)
