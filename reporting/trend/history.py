"""The history: which runs are found, which of them are left out, and which of them are one group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from reelbench.loadgen.record.run import DocumentRecord, EnvironmentRecord, RunState, WorkloadRecord
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.document import text
from reelbench.reporting.results.results import SCHEMA_VERSION, Target
from reelbench.reporting.trend.records import LeftOut

RESULTS_FILE = "results.json"
REPORTS_DIR = "reports"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a run: the fields of `ResultValue` that a trend reads."""

    sli: str
    title: str
    scenario: str
    case: str
    member: str
    value: float | None
    unit: str
    n: int | None
    objective: Target | None
    at_least: bool = False


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A dimension of a run with the reasons not to trust its values."""

    problems: tuple[str, ...]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a run."""

    plan_sha256: str
    replicas: int
    document: DocumentRecord | None
    workload: WorkloadRecord | None = None
    switches: dict[str, bool] | None
    environment: EnvironmentRecord
    stack: StackRecord | None


class RunValues(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The part of ``results.json`` that a trend reads; fields that another version added are ignored."""

    schema_version: int
    run_id: str
    profile: str
    target: str
    state: str
    started: float
    verdict: Status
    dimensions: tuple[Judged, ...]
    numbers: tuple[Value, ...]
    provenance: Origin

    @cached_property
    def places(self) -> dict[tuple[str, str, str, str], Value]:
        """The values by indicator, scenario, case and member.

        The exact number of the records comes after the estimate by PromQL, and replaces it.
        """
        return {(value.sli, value.scenario, value.case, value.member): value for value in self.numbers}

    @property
    def problem(self) -> str:
        """Why the values say nothing of the code; empty where they do.

        An objective that is violated and not proven makes a run INCONCLUSIVE too, and so does a small sample. Such a
        run stays: a regression begins like this.
        """
        if self.state != RunState.COMPLETED:
            return f"it is not finished (its state is {self.state})"
        problems = [problem for dimension in self.dimensions for problem in dimension.problems]
        if self.verdict is Status.INVALID:
            return f"it is {Status.INVALID}: {problems[0] if problems else 'the load generator was the bottleneck'}"
        return f"it is {self.verdict}: {_first(problems)}" if problems else ""


class Common(msgspec.Struct, frozen=True):
    """What the runs of a group have in common."""

    target: str
    profile: str
    plan: str
    workload: str
    machine: str


class History(msgspec.Struct, frozen=True):
    """The runs that were found."""

    groups: dict[Common, list[RunValues]]
    """The one with the newest run first; its runs in order of their start."""
    left_out: tuple[LeftOut, ...]


def read_history(paths: Sequence[Path], newest: int | None = None) -> History:
    """Read the results below some folders.

    Args:
        paths: Folders of runs or of CI artefacts, single run folders, or files ``results.json``.
        newest: Number of runs that are read of each group; None: all.

    Raises:
        RecordError: nothing was found.
    """
    runs: dict[str, RunValues] = {}
    left_out = []
    for path in (found for given in paths for found in _found(given)):
        try:
            run = _read(path)
        except RecordError as error:
            left_out.append(LeftOut(run=str(_folder(path)), reason=str(error)))
            continue
        if run.problem and run.run_id not in runs:
            left_out.append(LeftOut(run=run.run_id, reason=run.problem))
        elif not run.problem:
            runs[run.run_id] = run  # the same run in two artefacts counts once
    if not runs and not left_out:
        raise RecordError(
            f"there is no run in {text.listed([str(path) for path in paths])}; make one with: reelbench run, "
            "or name the folders of the runs"
        )
    groups: dict[Common, list[RunValues]] = {}
    for run in sorted(runs.values(), key=lambda run: (run.started, run.run_id), reverse=True):
        groups.setdefault(common(run), []).append(run)
    kept = {key: found[:newest][::-1] for key, found in groups.items()}
    return History(kept, tuple(sorted(set(left_out), key=lambda one: one.run)))


def common(run: RunValues) -> Common:
    """Return what identifies the history that a run is part of."""
    origin, machine = run.provenance, run.provenance.environment
    load = origin.workload
    files = [origin.document, load.prompts, load.arrivals, *load.references] if load else [origin.document]
    parts = [machine.cpu_model, text.counted(machine.cpu_count, "core"), f"{machine.memory_bytes / 2**30:.0f} GiB"]
    if machine.limits is not None and machine.limits.cpu_cores is not None:
        parts.append(f"limited to {machine.limits.cpu_cores:g} cores")
    if origin.replicas > 1:
        parts.append(f"{origin.replicas} load generators")
    return Common(
        target=_target(run),
        profile=run.profile,
        plan=origin.plan_sha256,
        workload=" ".join(file.sha256[:12] for file in files if file is not None),
        machine=", ".join(parts),
    )


def facts(run: RunValues) -> dict[str, str]:
    """Return what can differ between two runs of a group."""
    machine = run.provenance.environment
    changed = " with changes" if machine.dirty else ""
    return {
        "Commit": f"{machine.commit[:12]}{changed}" if machine.commit else "unknown",
        **{f"Switch {name}": "on" if on else "off" for name, on in sorted((run.provenance.switches or {}).items())},
        "Operating system": machine.os,
        "Python": machine.python,
        **{f"Library {name}": version for name, version in sorted(machine.packages.items())},
        "Lock file": (machine.lock_sha256 or text.NONE)[:12],
    }


def _target(run: RunValues) -> str:
    stack = run.provenance.stack
    if stack is not None and stack.kind == "embedded" and stack.has_service:
        return "embedded service"
    host = urlsplit(run.target).hostname or run.target
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return "a server on this machine" if local else run.target  # of a local server, the port is often a free one


def _found(given: Path) -> Iterator[Path]:
    """Yield each ``results.json`` below a path, and the ``run.json`` of runs that have none."""
    if given.is_file():
        yield given
    for folder, folders, files in os.walk(given):
        if RUN_FILE in files:  # a run: its other folders hold thousands of files
            reports = Path(folder, REPORTS_DIR, RESULTS_FILE)
            yield reports if reports.is_file() else Path(folder, RUN_FILE)
            folders.clear()
        elif RESULTS_FILE in files:
            yield Path(folder, RESULTS_FILE)
        folders.sort()


def _folder(path: Path) -> Path:
    return path.parent.parent if path.parent.name == REPORTS_DIR else path.parent


def _read(path: Path) -> RunValues:
    """Read the results of a run.

    Raises:
        RecordError: there are none, or they cannot be read.
    """
    if path.name == RUN_FILE:
        raise RecordError(f"it has no {RESULTS_FILE}; write it with: reelbench report {path.parent} --kept")
    try:
        run = msgspec.json.decode(path.read_bytes(), type=RunValues)
    except OSError as error:
        raise RecordError(f"cannot read {path} ({error.strerror})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is no {RESULTS_FILE} of this Reelbench ({error}); export the run again") from error
    if run.schema_version != SCHEMA_VERSION:
        raise RecordError(f"{path} has schema version {run.schema_version}, not {SCHEMA_VERSION}; export the run again")
    return run


def _first(problems: Sequence[str]) -> str:
    more = len(problems) - 1
    return f"{problems[0]}{f', and {more} more' if more else ''}"
