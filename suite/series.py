"""Several runs of one plan: repetitions, an ablation, or both, and the reports about all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelbench.exit_code import ExitCode
from reelbench.loadgen.plan.scenario import Toggles
from reelbench.loadgen.record.address import shown_url
from reelbench.reporting.compare.folders import ABLATION_SUFFIX, REPEAT_SUFFIX
from reelbench.stack.errors import StackError
from reelbench.stack.external import ExternalStack
from reelbench.suite.failures import FAILURES, explain
from reelbench.suite.measuring import Ended, Load, measure

NAMES = tuple(Toggles.model_fields)
"""The optimizations and protections that the service can be without."""
FULL = "full"


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration of the service."""

    name: str
    """Part of the run id; empty when the service is measured as it is."""
    off: str | None = None
    """The optimization that is off; None: all are on."""

    @property
    def switches(self) -> dict[str, bool]:
        """All toggles; empty when the service is measured as it is."""
        return {name: name != self.off for name in NAMES} if self.name else {}


AS_IT_IS = Variant("")


def variants(ablate: Sequence[str]) -> tuple[Variant, ...]:
    """Return the configurations of an ablation, the full one first; without an ablation the service as it is."""
    return (Variant(FULL), *(Variant(f"no_{name}", name) for name in ablate)) if ablate else (AS_IT_IS,)


def parse_ablate(text: str | None) -> tuple[str, ...]:
    """Return the names of ``--ablate``, in order; empty when the option is not given."""
    return tuple(part.strip() for part in text.split(",")) if text is not None else ()


def ablate_errors(ablate: Sequence[str]) -> list[str]:
    """Return what is wrong with these names."""
    known = ", ".join(NAMES)
    found = [f"--ablate: {name!r} is unknown; use {known}" for name in dict.fromkeys(ablate) if name not in NAMES]
    return found + [
        f"--ablate: {name!r} is given more than once; give it once"
        for name in dict.fromkeys(ablate)
        if ablate.count(name) > 1
    ]


@contextmanager
def configured(load: Load, variant: Variant) -> Iterator[Mapping[str, str]]:
    """Set the toggles of the service, and yield the environment for an embedded stack.

    A running service is toggled through its admin API, and reset at the end.

    Raises:
        StackError: the service cannot be toggled.
    """
    settings = {f"SERVICE_{name.upper()}": str(on).lower() for name, on in variant.switches.items()}
    url = load.target.addresses.service if isinstance(load.target, ExternalStack) else load.target
    if not variant.switches or url is None:
        yield os.environ | settings
        return
    before = asyncio.run(_toggle(url, variant.switches))
    load.say(f"switched: {variant.name}")
    try:
        yield os.environ
    finally:
        asyncio.run(_toggle(url, before))
        load.say("switched back")


async def _toggle(url: str, toggles: Mapping[str, bool]) -> dict[str, bool]:
    """Set these toggles; return their values before."""
    from reelbench.loadgen.control.admin_client import AdminClient, AdminError  # noqa: PLC0415 - only for an ablation
    from reelbench.loadgen.record.control_token import control_token  # noqa: PLC0415
    from reelbench.stack.compose_token import token_variables  # noqa: PLC0415

    token = control_token(os.environ | token_variables(url, os.environ))
    async with AdminClient(url, token=token) as controls:
        try:
            before = await controls.toggles()
            after = await controls.set_toggles(toggles)
        except AdminError as error:
            cure = "start it with SERVICE_ADMIN=true, or use --embedded"
            raise StackError(f"The service at {shown_url(url)} cannot change its toggles ({error}); {cure}.") from error
    if wrong := [name for name, on in toggles.items() if after.get(name) is not on]:
        raise StackError(
            f"The service at {shown_url(url)} left {', '.join(wrong)} as before; restart it and run again."
        )
    return {name: before[name] for name in toggles}


SEVERITY = (ExitCode.PASS, ExitCode.INCONCLUSIVE, ExitCode.FAIL, ExitCode.ABSENT, ExitCode.INTERRUPTED)
"""Exit codes from best to worst; any other code ranks just above a failed objective."""


def run_series(load: Load, base: str, *, repeat: int, ablate: Sequence[str]) -> int:
    """Make all runs, one after the other, and write the reports about all of them; return the exit code.

    The configurations alternate, and every second round runs in reverse order, so that a machine which becomes slower
    over time does not look like an effect. A run that is not completed ends the series.

    Args:
        load: The settings that all runs share.
        base: Prefix of all run ids.
        repeat: Runs of each configuration.
        ablate: The optimizations to leave out one by one; empty: only the service as it is.
    """
    every = variants(ablate)
    made: dict[Variant, list[Path]] = {variant: [] for variant in every}
    codes: dict[Variant, list[int]] = {variant: [] for variant in every}
    plan = [(number, v) for number in range(1, repeat + 1) for v in (every if number % 2 else every[::-1])]
    stopped: int | None = None
    for position, (number, variant) in enumerate(plan, 1):
        run_id = ".".join(filter(None, (base, variant.name, f"r{number}" if repeat > 1 else "")))
        load.say(f"run {position} of {len(plan)}: {run_id}")
        ended = _attempt(load, run_id, variant)
        codes[variant].append(ended.exit_code)
        if ended.made or (ended.run is not None and not made[variant]):
            made[variant].append(load.runs / run_id)
        elif ended.run is not None:
            load.say(f"{run_id} was not finished: it has its own reports and is left out of the reports about all runs")
        if not ended.made:
            stopped = ended.exit_code or ExitCode.ABSENT
            break
    _report(load, base, made, repeat=repeat, ablate=ablate)
    counted = codes[every[0]] if ablate else [code for some in codes.values() for code in some]
    return stopped if stopped is not None else worst(counted)


def worst(codes: Sequence[int]) -> int:
    """Return the worst of these exit codes."""
    return max(
        codes, key=lambda code: SEVERITY.index(code) if code in SEVERITY else SEVERITY.index(ExitCode.FAIL) + 0.5
    )


def _attempt(load: Load, run_id: str, variant: Variant) -> Ended:
    """Make one run; an error is reported, and the series keeps the runs before it."""
    try:
        with configured(load, variant) as environment:
            return measure(load, run_id, environment)
    except KeyboardInterrupt:
        load.say("interrupted")
        return Ended(ExitCode.INTERRUPTED, None)
    except FAILURES as error:
        code, messages = explain(error, load.runs)
        for message in messages:
            load.say(f"error: {message}")
        return Ended(code, None)


def _report(load: Load, base: str, made: dict[Variant, list[Path]], *, repeat: int, ablate: Sequence[str]) -> None:
    from reelbench.reporting.compare.ablation import write_ablation  # noqa: PLC0415 - scipy.stats takes a second
    from reelbench.reporting.compare.repetitions import write_repetitions  # noqa: PLC0415 - only where there are repetitions
    from reelbench.reporting.compare.writing import Output  # noqa: PLC0415 - as the reports

    output = Output(charts=load.charts)
    lines: list[str] = []
    if repeat > 1:
        for variant, folders in made.items():
            if folders:
                name = ".".join(filter(None, (base, variant.name)))
                lines += write_repetitions(load.runs / f"{name}{REPEAT_SUFFIX}", folders, output).summary
    full, *others = made.items()
    if ablate and full[1] and any(folders for _, folders in others):
        without = {variant.off: folders for variant, folders in others if variant.off is not None and folders}
        lines += write_ablation(load.runs / f"{base}{ABLATION_SUFFIX}", full[1], without, output).summary
    for line in lines:
        load.show(line)
