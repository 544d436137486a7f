"""Properties for random input: files of users, plans of any seed, and records cut off by a crash."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.loadgen.plan.fault_plan import plan_all_faults
from reelbench.loadgen.plan.plan import plan_run, to_bytes
from reelbench.loadgen.plan.scenario import PROFILES
from reelbench.loadgen.plan.scenario_file import FOLDER, ScenarioError, load_file, load_folder
from reelbench.loadgen.plan.search import expanded
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RecordError, to_line
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, CatalogueError, load
from tests.data_helper import job

SCENARIOS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
LOADED = [expanded(scenario, "quick") for scenario in load_folder().values()]
CATALOGUE: dict[str, Any] = yaml.safe_load(CATALOGUE_FILE.read_text())
T = TypeVar("T")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in a tree of mappings and lists."""
    if path:
        yield path
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    """Return a copy with one value changed or removed."""
    made = copy.deepcopy(tree)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    if drop:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return made


def tried(load: Callable[[Path], T], path: Path) -> tuple[T | None, Sequence[str]]:
    """Return the result of a loader, or the lines of its error."""
    try:
        return load(path), ()
    except (ScenarioError, CatalogueError) as error:
        return None, error.errors
    except RecordError as error:
        return None, [str(error)]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_mutated_scenario_is_loaded_or_rejected_line_by_line(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SCENARIOS)))
    tree = SCENARIOS[name]
    path = data.draw(st.sampled_from(list(places(tree))))
    made = changed(tree, path, data.draw(ANYTHING), drop=data.draw(st.booleans()))
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(made))
    scenario, errors = tried(load_file, file)
    if scenario is None:
        assert errors
        assert all(line.startswith(f"{name}.yaml: ") and "\n" not in line for line in errors)
    else:
        assert scenario.name == name
        assert [case.name for case in scenario.cases] == [case["name"] for case in made["cases"]]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_a_scenario_file_are_rejected(folder: Path, content: bytes) -> None:
    file = folder / "trial.yaml"
    file.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_file(file)
    assert all(line.startswith("trial.yaml: ") for line in caught.value.errors)


@pytest.mark.extended
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_mutated_catalogue_is_loaded_or_rejected_line_by_line(folder: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(CATALOGUE))))
    made = changed(CATALOGUE, path, data.draw(ANYTHING), drop=data.draw(st.booleans()))
    file = folder / "slis.yaml"
    file.write_text(yaml.safe_dump(made, sort_keys=False))
    found, errors = tried(load, file)
    if found is None:
        assert errors
        assert all(line.startswith(str(file)) and "\n" not in line for line in errors)
    else:
        assert len(found.slis) == len(made["slis"])


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**63), profile=st.sampled_from(PROFILES[:2]))
def test_a_plan_of_any_seed_is_complete_and_reproducible(seed: int, profile: Any) -> None:
    plan = plan_run(LOADED, profile, seed)
    assert to_bytes(plan) == to_bytes(plan_run(LOADED, profile, seed))
    assert set(Counter((job.scenario, job.case, job.index) for job in plan).values()) == {1}
    for scenario in LOADED:
        for case in scenario.cases:
            indexes = [job.index for job in plan if (job.scenario, job.case) == (scenario.name, case.name)]
            assert indexes == list(range(len(indexes)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63), profile=st.sampled_from(PROFILES))
def test_faults_of_any_seed_do_not_overlap_themselves(seed: int, profile: Any) -> None:
    faults = plan_all_faults(LOADED, profile, seed)
    assert faults == plan_all_faults(LOADED, profile, seed)
    strikes: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for fault in faults:
        place = (fault.scenario, fault.case, fault.target, fault.kind)
        strikes.setdefault(place, []).append((fault.at, math.inf if fault.until is None else fault.until))
    assert all(at < until for spans in strikes.values() for at, until in spans)
    assert all(a[1] <= b[0] for spans in strikes.values() for a, b in itertools.pairwise(sorted(spans)))


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 10_000), count=st.integers(0, 4))
def test_truncated_records_are_read_up_to_the_cut(folder: Path, cut: int, count: int) -> None:
    made = [job(index) for index in range(count)]
    whole = b"".join(to_line(record) for record in made)
    cut = min(cut, len(whole))
    (folder / "jobs.jsonl").write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    found = read_jobs(folder)
    assert found[:complete] == made[:complete]
    assert len(found) <= complete + 1  # the last line may lack only its newline


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_line_is_one_sentence(folder: Path, data: st.DataObject) -> None:
    line = bytearray(to_line(job()))
    line[data.draw(st.integers(0, len(line) - 2))] = data.draw(st.integers(0, 255))
    (folder / "jobs.jsonl").write_bytes(bytes(line) + to_line(job(1)))
    found, errors = tried(read_jobs, folder)
    if found is None:
        assert re.search(r"line [12] is damaged .*; run the suite again$", errors[0])
    else:
        assert found[-1] == job(1)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_a_run_file_are_rejected(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(RecordError):
        read_run(folder)
