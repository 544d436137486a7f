"""Scenario files: YAML, loaded strictly, with all errors of all files reported together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from reelbench.loadgen.plan.arrivals import problems as arrival_problems
from reelbench.loadgen.plan.fault_plan import problems as fault_problems
from reelbench.loadgen.plan.scenario import DIMENSIONS, PROFILES, STEPS, Case, Scenario
from reelbench.loadgen.plan.search import problems as search_problems
from reelbench.loadgen.strict_model import keys, validate
from reelbench.loadgen.strict_yaml import UnreadableError, read_mapping

FOLDER = Path(__file__).parents[1] / "scenarios"
MLPERF_FOLDER = FOLDER / "mlperf_like"


class ScenarioError(Exception):
    """Scenario files that cannot be used; `errors` has one line per mistake, with its cure."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def load_folder(folder: Path = FOLDER) -> dict[str, Scenario]:
    """Load every ``*.yaml`` and ``*.yml`` of a folder by scenario name, sorted by dimension and name.

    Raises:
        ScenarioError: with all errors of all files.
    """
    return dict(_shipped(folder) if folder in {FOLDER, MLPERF_FOLDER} else _load_folder(folder))


@cache
def _shipped(folder: Path) -> Mapping[str, Scenario]:
    """Return the scenarios of a folder of this package, which is read once in a process."""
    return _load_folder(folder)


def _load_folder(folder: Path) -> Mapping[str, Scenario]:
    scenarios: dict[str, Scenario] = {}
    errors: list[str] = []
    paths = sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))
    errors += [f"{path}: there is also {path.stem}.yaml; keep one of them" for path in paths if _is_second(path)]
    if not folder.is_dir():
        errors.append(f"{folder}: is no folder; name the folder that holds the scenario files (*.yaml)")
    elif not paths:
        errors.append(f"{folder}: holds no scenario files (*.yaml); name the folder that does")
    for path in paths:
        try:
            scenario = load_file(path)
        except ScenarioError as error:
            errors.extend(error.errors)
        else:
            scenarios[scenario.name] = scenario
    if errors:
        raise ScenarioError(errors)
    # Performance comes first: it needs a service that had no faults before.
    return dict(sorted(scenarios.items(), key=lambda item: (DIMENSIONS.index(item[1].dimension), item[0])))


def _is_second(path: Path) -> bool:
    return path.suffix == ".yml" and path.with_suffix(".yaml").exists()


def load_file(path: Path) -> Scenario:
    """Load one scenario file.

    Raises:
        ScenarioError: with all errors of this file.
    """
    try:
        raw, errors = read_mapping(path, "scenario", "name")
    except UnreadableError as error:
        raise ScenarioError([f"{path.name}: {error}"]) from error
    errors += _check_meaning(raw, path.stem)
    scenario = validate(Scenario, raw, errors)
    if errors or scenario is None:
        raise ScenarioError([f"{path.name}: {line}" for line in errors])
    return scenario


def _check_meaning(raw: dict[str, Any], stem: str) -> list[str]:
    """Check what no single value can show, on the raw data, so these errors are reported with the others."""
    errors = []
    name = raw.get("name")
    if isinstance(name, str) and name != stem:
        errors.append(f"name: is {name!r}, but the file is {stem}.yaml; make them equal")
    # Not a constraint of the model, which counts valid items only and reports a list of mistakes as empty.
    errors += [f"{key}: is empty; add one at least" for key in ("steps", "cases") if raw.get(key) == []]
    steps = raw.get("steps")
    if isinstance(steps, list) and steps:
        errors += [f"steps: {problem}" for problem in _check_steps(steps)]
    cases = raw.get("cases")
    if _is_list(steps) and steps:
        of_cases = [case.get("steps") for case in cases if isinstance(case, dict)] if _is_list(cases) else []
        every = [step for one in (steps, *of_cases) if _is_list(one) for step in one]
        errors += list(_check_cancellation(every, raw.get("cancel_after")))
    before: Any = None
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        found = (*_check_case(case, searched=raw.get("search") is not None), *_check_prompts(case, before))
        errors += [f"cases.{index}.{problem}" for problem in found]
        before = case
    errors += search_problems(raw.get("search"), cases)
    open_too = isinstance(cases, list) and any(isinstance(case, dict) and case.get("model") == "open" for case in cases)
    if raw.get("rest") and open_too:
        errors.append("rest: does not go with the model open, whose warm-up passes into its measured part; remove it")
    names = [case.get("name") for case in cases or () if isinstance(case, dict)] if isinstance(cases, list) else []
    repeated = [word for word, count in Counter(word for word in names if isinstance(word, str)).items() if count > 1]
    errors += [f"cases: {word!r} is the name of more than one case; give each its own" for word in repeated]
    return errors


def _check_steps(steps: list[Any]) -> Iterator[str]:
    if steps[0] != "create":
        yield "must begin with create; put it first"
    yield from (f"has {step} more than once; keep one" for step in STEPS if steps.count(step) > 1)
    if "cancel" in steps:
        late = [step for step in ("wait", "manifest", "content", "assets", "delete") if step in steps]
        yield from (f"has {step} and cancel; remove one, a cancelled job has nothing to show" for step in late)
    elif "wait" not in steps:
        yield "has no wait; add it, without it no job's outcome is known"
    else:
        before = steps[: steps.index("wait")]
        early = [step for step in ("manifest", "content", "assets") if step in before]
        yield from (f"has {step} before wait; move it behind, before it there is nothing to fetch" for step in early)
    if "assets" in steps and "manifest" not in steps[: steps.index("assets")]:
        yield "has assets without manifest before it; add it, it names the files"
    yield from (
        f"has {step} before the end; make it the last step"
        for step in ("delete", "cancel")
        if step in steps and steps[-1] != step
    )


def _check_cancellation(steps: list[Any], bounds: Any) -> Iterator[str]:
    if "cancel" in steps and bounds is None:
        yield "cancel_after: is missing; add it, the step cancel needs it (earliest, latest)"
    if "cancel" not in steps and bounds is not None:
        yield "cancel_after: is given without the step cancel; remove it, or add the step"
    if isinstance(bounds, dict):
        earliest, latest = bounds.get("earliest"), bounds.get("latest")
        if isinstance(earliest, int | float) and isinstance(latest, int | float) and latest < earliest:
            yield f"cancel_after.latest: is {latest}, before earliest ({earliest}); make it later"


def _check_case(case: Any, *, searched: bool) -> Iterator[str]:
    if not isinstance(case, dict):
        return
    model = case.get("model")
    if isinstance(model, str) and model in _NEEDED:
        yield from (
            f"{key}: is missing; {cure}"
            for key, cure in _NEEDED[model].items()
            if _is_missing(case, key) and not (searched and key == "rate")
        )
        why, foreign = _FOREIGN[model]
        yield from (f"{key}: does not belong to the model {model}, {why}; remove it" for key in foreign if key in case)
    iterations, users = case.get("iterations"), case.get("concurrency")
    if isinstance(iterations, dict) and _is_count(users):
        for profile in PROFILES:
            count = iterations.get(profile)
            if _is_count(count) and 0 < count < users:
                yield f"iterations.{profile}: is {count}, fewer than the {users} virtual users; give each a job"
    yield from _check_parts(case)
    try:
        valid = Case.model_validate(case)
    except ValidationError:
        return  # its errors are reported with those of the whole file
    yield from fault_problems(valid)
    yield from arrival_problems(valid)


def _check_parts(case: dict[str, Any]) -> Iterator[str]:
    """Check the steps, the slow clients and the faults of a case, each on its own."""
    if _is_list(steps := case.get("steps")):
        yield from (f"steps: {problem}" for problem in (_check_steps(steps) if steps else ["is empty; remove it"]))
    slow = case.get("slow_clients")
    if isinstance(slow, dict) and slow.get("send") is None and slow.get("read") is None:
        yield "slow_clients: names no rate; add send, read, or both"
    faults = case.get("faults")
    for number, fault in enumerate(faults if _is_list(faults) else ()):
        if isinstance(fault, dict):
            yield from (f"faults.{number}.what{problem}" for problem in _check_what(fault.get("what")))


def _check_what(what: Any) -> Iterator[str]:
    """Check that a fault is one of the three sorts, and complete."""
    if not isinstance(what, dict):
        return
    sorts = [
        names
        for names in (["target", "kind"], ["command"], ["network"])
        if any(what.get(name) is not None for name in names)
    ]
    if not sorts:
        yield ": names no fault; add target and kind, a command, or network"
    elif len(sorts) > 1:
        yield f": has {' and '.join(names[0] for names in sorts)}; keep one, and make the other a fault of its own"
    elif sorts == [["target", "kind"]]:
        yield from (f".{key}: is missing; add it" for key in sorts[0] if what.get(key) is None)
    command = what.get("command")
    if isinstance(command, dict):
        yield from (
            f".command.{key}: is empty; name the program" for key in ("start", "stop") if command.get(key) in ([], "")
        )


def _is_missing(case: dict[str, Any], key: str) -> bool:
    """Return whether a key is missing or has no value; the model would replace no value by its default."""
    return key not in case or (case[key] is None and keys(Case)[key].default is None)


def _check_prompts(case: Any, before: Any) -> Iterator[str]:
    """Check that a case that repeats prompts follows one that has as many."""
    prompts = case.get("prompts") if isinstance(case, dict) else None
    if prompts not in ("repeated", "half_new"):  # no set: a list in the file is not hashable
        return
    earlier = before.get("iterations") if isinstance(before, dict) else None
    if earlier is None:
        yield f"prompts: is {prompts!r}, but no case with jobs is before it; put it behind the one it repeats"
    if isinstance(before, dict) and "profiles" in before:
        yield f"prompts: is {prompts!r}, but the case before is not in every profile; remove its profiles"
    ours = case.get("iterations")
    if not isinstance(ours, dict) or not isinstance(earlier, dict):
        return
    for profile in PROFILES:
        count, known = ours.get(profile), earlier.get(profile)
        if _is_count(count) and _is_count(known) and count > known:
            yield f"iterations.{profile}: is {count}, more than the {known} prompts of the case before; make it no more"


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


_CLOSED = ("concurrency", "iterations", "warmup")
_OPEN = ("rate", "arrivals", "warmup_seconds")
_OPEN_TOO = ("burst", "drain", "max_in_flight")

_NEEDED: dict[str, dict[str, str]] = {
    "closed": dict.fromkeys(_CLOSED, "add it"),
    "open": dict.fromkeys(_OPEN, "add it") | {"seconds": "add it, it is how long jobs arrive"},
    "idle": {"seconds": "add it, it is the length of an idle case"},
}
"""Required keys of each model, with their cures."""

_FOREIGN: dict[str, tuple[str, tuple[str, ...]]] = {
    "closed": ("which ends with its jobs", ("seconds", *_OPEN, *_OPEN_TOO)),
    "open": ("whose jobs come from its rate", (*_CLOSED, "min_duration", "pace", "prompts")),
    "idle": (
        "which sends nothing",
        (*_CLOSED, "min_duration", "pace", "faults", "slow_clients", "steps", "prompts", *_OPEN, *_OPEN_TOO),
    ),
}
"""Keys that each model does not have, with the reason."""
