"""Faults by commands of the user's: the start begins a fault, the stop always ends it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reelbench.loadgen.control.command import run_command
from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.secrets import secrets, without_secrets
from reelbench.loadgen.control.side import Applied, FaultState, SideError
from reelbench.loadgen.plan.fault_plan import PlannedCommand, PlannedFault
from reelbench.loadgen.record.run_files import COMMANDS_DIR


@dataclass(frozen=True, slots=True)
class _Pending:
    """A fault whose stop command has not run yet."""

    fault: PlannedFault
    output: Path
    entry: int
    """Number of the entry of the guard."""


@dataclass(slots=True)
class CommandSide:
    """Runs the commands of one fault at a time."""

    run_dir: Path
    directory: Path
    """Folder in which the commands run."""
    variables: Mapping[str, str]
    """Environment of the load generator; the commands receive it without its secrets."""
    secret: frozenset[str]
    """Variables that hold a secret, regardless of their name."""
    about: Mapping[str, str]
    """Further variables of the commands, about the run."""
    guard: Guard
    _begun: int = 0
    _pending: _Pending | None = field(default=None)

    async def inject(self, faults: Sequence[PlannedFault], lifetime: float) -> Applied:
        """Run the start command; when it fails, also the stop command, as a part of it may have had its effect."""
        del lifetime  # the guard ends the fault if this process dies
        (fault,) = faults
        command = _command(fault)
        self._begun += 1
        name = f"{fault.scenario}_{fault.case}_{self._begun:03}.txt"
        output = self.run_dir / COMMANDS_DIR / name
        if command.stop is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            entry = self.guard.run(
                command.stop,
                environment=self._environment(fault, "stop"),
                directory=self.directory,
                timeout=command.timeout,
                output=output,
            )
            self._pending = _Pending(fault, output, entry)
        failure = await self._run(fault, "start", command.start, output)
        kept = f"{COMMANDS_DIR}/{name}"
        if failure is None:
            return Applied(over=command.stop is None, output=kept)
        said = f"the start command {shlex.join(command.start)} {failure}"
        if command.stop is not None and (also := await self._run(fault, "stop", command.stop, output)) is not None:
            said += f", and the stop command {also}"
        self._settled()
        return Applied(error=said, output=kept)

    async def lift(self) -> FaultState:
        """Run the stop command of the fault in force."""
        pending = self._pending
        if pending is not None:
            stop = _command(pending.fault).stop or ()
            failure = await self._run(pending.fault, "stop", stop, pending.output)
            if failure is not None:
                raise SideError(f"the stop command {shlex.join(stop)} {failure}; its output is in {pending.output}")
            self._settled()
        return FaultState()

    async def faults(self) -> FaultState:
        """Return no rules: nothing is counted."""
        return FaultState()

    async def _run(self, fault: PlannedFault, part: str, argv: Sequence[str], output: Path) -> str | None:
        return await run_command(
            argv,
            environment=self._environment(fault, part),
            secrets=secrets(self.variables, self.secret),
            directory=self.directory,
            seconds=_command(fault).timeout,
            output=output,
        )

    def _settled(self) -> None:
        if self._pending is not None:
            self.guard.done(self._pending.entry)
            self._pending = None

    def _environment(self, fault: PlannedFault, part: str) -> dict[str, str]:
        about = {"REELBENCH_SCENARIO": fault.scenario, "REELBENCH_CASE": fault.case, "REELBENCH_FAULT": part}
        own = {name: value for name, value in self.variables.items() if not name.startswith("OTEL_")}
        return without_secrets(own, self.secret, keep=_command(fault).environment) | dict(self.about) | about


def _command(fault: PlannedFault) -> PlannedCommand:
    assert fault.command is not None, "a fault of the side command has one"
    return fault.command
