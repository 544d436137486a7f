"""Several runs of one plan: repetitions, an ablation, or both, and the reports about all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.compare.folders import ABLATION_SUFFIX, REPEAT_SUFFIX
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.stack.errors import StackError
from reelbench.suite.measuring import Ended, Load, measure, unwritable
from reelbench.suite.variants import Variant, configured, variants

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
    except (StackError, QueryError) as error:
        load.say(f"error: {error}")
        return Ended(ExitCode.ABSENT, None)
    except RecordError as error:
        load.say(f"error: {error}")
        return Ended(ExitCode.INCONCLUSIVE, None)
    except OSError as error:
        load.say(f"error: {unwritable(error, load.runs)}")
        return Ended(ExitCode.USAGE, None)


def _report(load: Load, base: str, made: dict[Variant, list[Path]], *, repeat: int, ablate: Sequence[str]) -> None:
    from reelbench.reporting.compare.ablation import write_ablation  # noqa: PLC0415 - scipy.stats takes a second
    from reelbench.reporting.compare.repetitions import write_repetitions  # noqa: PLC0415 - only where there are repetitions

    lines: list[str] = []
    if repeat > 1:
        for variant, folders in made.items():
            if folders:
                name = ".".join(filter(None, (base, variant.name)))
                lines += write_repetitions(load.runs / f"{name}{REPEAT_SUFFIX}", folders).summary
    full, *others = made.items()
    if ablate and full[1] and any(folders for _, folders in others):
        without = {variant.off: folders for variant, folders in others if variant.off is not None and folders}
        lines += write_ablation(load.runs / f"{base}{ABLATION_SUFFIX}", full[1], without).summary
    for line in lines:
        load.show(line)
