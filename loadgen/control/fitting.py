"""Scenarios as a server can run them: its pace, and without the steps that it does not offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reelbench.loadgen.document import Document
from reelbench.loadgen.plan.scenario import Case, Scenario, Step
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.target.target_error import TargetError

_SYNCHRONOUS: frozenset[Step] = frozenset({"retrieve", "list", "manifest", "assets", "delete"})
"""Steps that ask about a job; a server that answers once, with the file, has no jobs to ask about."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Times of the command line; they replace those of the target file, which replace those of the scenario."""

    time_limit: float | None = None
    poll_interval: float | None = None


def fitted(
    scenarios: Sequence[Scenario],
    target: Target,
    chosen: Chosen,
    upload: Document | None,
    *,
    named: bool,
    say: Callable[[str], None],
) -> list[Scenario]:
    """Return the scenarios with the pace of the server and the steps that it offers.

    Each change is a note of the target. Call it after the check of the target.

    Args:
        scenarios: the requested scenarios.
        target: the server; gets the notes.
        chosen: times of the command line.
        upload: the file of jobs that name none.
        named: whether the user named the scenarios. Named scenarios must all be possible; impossible ones of a default
            choice are left out.
        say: shows a line.

    Raises:
        TargetError: a named scenario, or every scenario, is not possible.
    """
    reasons = {scenario.name: why for scenario in scenarios if (why := _impossible(scenario, target)) is not None}
    if reasons and (named or len(reasons) == len(scenarios)):
        raise TargetError("; ".join(f"{name} cannot run: {why}" for name, why in reasons.items()))
    for why in dict.fromkeys(reasons.values()):
        _note(target, say, f"left out: {', '.join(name for name in reasons if reasons[name] == why)}: {why}")
    kept = [scenario for scenario in scenarios if scenario.name not in reasons]
    sends = any(scenario.encoding != "json" for scenario in kept)
    if upload is not None and sends and not target.takes(upload):
        _note(target, say, f"jobs send only the prompt: the server does not take {upload.name} ({upload.media_type})")
    lacking = {scenario.name: ", ".join(_lacking_steps(scenario, target)) for scenario in kept}
    for steps in filter(None, dict.fromkeys(lacking.values())):
        names = ", ".join(name for name in lacking if lacking[name] == steps)
        _note(target, say, f"{names}: without the steps {steps}, which the server does not offer")
    return [_fit(scenario, target, chosen) for scenario in kept]


def _impossible(scenario: Scenario, target: Target) -> str | None:
    """Return why a server cannot run a scenario; None: it can."""
    if "cancel" in scenario.every_step and (target.synchronous or target.found["cancel"] is False):
        return "the server cannot cancel jobs"
    if "assets" in scenario.every_step and (target.synchronous or target.found["manifest"] is False):
        return "the server has no manifest of the files of a job"
    return None


def _lacking(target: Target) -> set[Step]:
    lacking: set[Step] = {name for name in ("list", "manifest", "delete") if target.found[name] is False}
    return lacking | _SYNCHRONOUS if target.synchronous else lacking


def _lacking_steps(scenario: Scenario, target: Target) -> list[Step]:
    """Return the steps of a scenario that the server does not offer."""
    lacking = _lacking(target)
    return [step for step in scenario.steps if step in lacking]


def _fit(scenario: Scenario, target: Target, chosen: Chosen) -> Scenario:
    pace, lacking = target.file.pace, _lacking(target)
    return scenario.model_copy(
        update={
            "steps": tuple(step for step in scenario.steps if step not in lacking),
            "cases": tuple(_fit_case(case, lacking) for case in scenario.cases),
            "time_limit": _first(chosen.time_limit, pace.time_limit, scenario.time_limit),
            "poll_interval": _first(chosen.poll_interval, pace.poll_interval, scenario.poll_interval),
        }
    )


def _fit_case(case: Case, lacking: set[Step]) -> Case:
    if case.steps is None:
        return case
    return case.model_copy(update={"steps": tuple(step for step in case.steps if step not in lacking)})


def _first(chosen: float | None, usual: float | None, scenario: float) -> float:
    return chosen if chosen is not None else usual if usual is not None else scenario


def _note(target: Target, say: Callable[[str], None], sentence: str) -> None:
    target.found.note(sentence)
    say(sentence)
