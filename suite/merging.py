"""Merge of the shares that several load generators made of one plan into one run folder."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.conditions import (
    STORE_CLOCK,
    ConditionsRecord,
    MachineRecord,
    read_conditions,
    write_conditions,
)
from reelbench.loadgen.record.jobs import JobRecord, read_calls, read_requests
from reelbench.loadgen.record.journal import occupied
from reelbench.loadgen.record.run import (
    ArrivalsRecord,
    CaseRecord,
    GeneratorCaseRecord,
    GeneratorRecord,
    RunRecord,
    RunState,
    ScenarioRecord,
    read_run,
    write_run,
)
from reelbench.loadgen.record.run_files import (
    CALLS_FILE,
    COMMANDS_DIR,
    JOBS_FILE,
    PLAN_FILE,
    PROCESSES_FILE,
    REQUESTS_FILE,
    TRACES_DIR,
    VIDEOS_FILE,
    read_lines,
    to_line,
)
from reelbench.loadgen.record.videos import read_videos

KEPT_VIDEOS = "videos"
ENDED = (RunState.COMPLETED, RunState.INTERRUPTED)
_WORST = (RunState.COMPLETED, RunState.INTERRUPTED, RunState.PENDING, RunState.RUNNING, RunState.FAILED)


class ShareError(Exception):
    """Shares that cannot be merged; the message is one sentence."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.INCONCLUSIVE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class ShareFolder:
    """The run folder of one share."""

    folder: Path
    run: RunRecord


def read_shares(folders: Sequence[Path]) -> list[ShareFolder]:
    """Read the shares of a run, in the order of their generators, and check that they are all of one plan.

    Raises:
        ShareError: the shares are not those of one run, or one is missing, repeated or not complete.
        RecordError: a folder is not a run, or is of another schema version.
    """
    shares = sorted((ShareFolder(folder, read_run(folder)) for folder in folders), key=lambda one: one.run.replica)
    _check_one_run(shares)
    _check_complete(shares)
    for one in shares:
        found = hashlib.sha256(_read_plan(one.folder)).hexdigest()
        if found != one.run.plan_hash:
            raise ShareError(f"{one.folder / PLAN_FILE} is not the plan that its run.json names; copy the share again")
    return shares


def _read_plan(folder: Path) -> bytes:
    try:
        return (folder / PLAN_FILE).read_bytes()
    except OSError as error:
        raise ShareError(f"cannot read {folder / PLAN_FILE} ({error.strerror}); copy the whole share") from error


def _check_one_run(shares: Sequence[ShareFolder]) -> None:
    same: tuple[tuple[str, Callable[[RunRecord], object]], ...] = (
        ("run", lambda run: run.run_id),
        ("plan", lambda run: run.plan_hash),
        ("number of load generators", lambda run: run.replicas),
        ("profile", lambda run: run.profile),
        ("version of the libraries", lambda run: run.environment.packages),
    )
    if not shares:
        raise ShareError("no share is given; name the folders of all shares of a run", ExitCode.USAGE)
    first = shares[0]
    for what, read in same:
        for one in shares[1:]:
            if read(one.run) != read(first.run):
                raise ShareError(
                    f"{one.folder} has another {what} than {first.folder}; merge the shares of one run", ExitCode.USAGE
                )
    if first.run.replicas == 1:
        raise ShareError(f"{first.folder} is a whole run; there is nothing to merge", ExitCode.USAGE)
    for one, other in itertools.pairwise(shares):
        if one.run.replica == other.run.replica:
            raise ShareError(
                f"{one.folder} and {other.folder} are both share {one.run.replica}; name each share once",
                ExitCode.USAGE,
            )


def _check_complete(shares: Sequence[ShareFolder]) -> None:
    if missing := missing_of(shares):
        count = shares[0].run.replicas
        raise ShareError(
            f"{missing} of {count} of run {shares[0].run.run_id} is not there: a part of the plan is missing"
        )
    for one in shares:
        if one.run.state not in ENDED:
            raise ShareError(
                f"load generator {one.run.replica} of {one.run.replicas} did not end its share (state "
                f"{one.run.state}, {one.folder}): a part of the plan is missing"
            )
    if len({one.run.state for one in shares}) > 1:
        stopped = [str(one.run.replica) for one in shares if one.run.state is RunState.INTERRUPTED]
        raise ShareError(
            f"the share of load generator {', '.join(stopped)} was interrupted, the others are complete: a part of the "
            "plan is missing"
        )


def missing_of(shares: Sequence[ShareFolder]) -> str | None:
    """Return the generators whose share is missing, as in ``load generators 2, 5``; None: all are there."""
    there = {one.run.replica for one in shares}
    missing = [str(number) for number in range(1, shares[0].run.replicas + 1) if number not in there]
    return f"load generator{'s' if len(missing) > 1 else ''} {', '.join(missing)}" if missing else None


def merge(shares: Sequence[ShareFolder], into: Path) -> RunRecord:
    """Write the run folder of all shares; ``run.json`` comes last, so a part of a folder is never a run.

    Raises:
        ShareError: the folder holds a run already.
        RecordError: a share is damaged.
        OSError: the folder cannot be written.
    """
    if (taken := occupied(into)) is not None:
        raise ShareError(f"{into} already holds a run ({taken}); choose another --into", ExitCode.USAGE)
    made: list[Path] = []
    try:
        into.mkdir(parents=True, exist_ok=True)
        made.append(into / PLAN_FILE)
        shutil.copyfile(shares[0].folder / PLAN_FILE, into / PLAN_FILE)
        _write_lines(into / JOBS_FILE, _jobs(shares), made)
        _write_lines(into / REQUESTS_FILE, (line for one in shares for line in read_requests(one.folder)), made)
        _write_lines(into / CALLS_FILE, (line for one in shares for line in read_calls(one.folder)), made, empty=False)
        _write_lines(
            into / VIDEOS_FILE, (line for one in shares for line in read_videos(one.folder)), made, empty=False
        )
        # Generators on one machine read the same processes of the target: the samples of one generator are kept.
        if (
            samples := next((one.folder for one in shares if (one.folder / PROCESSES_FILE).is_file()), None)
        ) is not None:
            made.append(into / PROCESSES_FILE)
            shutil.copyfile(samples / PROCESSES_FILE, into / PROCESSES_FILE)
        for one in shares:
            for name in (KEPT_VIDEOS, COMMANDS_DIR, TRACES_DIR):
                if (one.folder / name).is_dir():
                    shutil.copytree(one.folder / name, into / name, dirs_exist_ok=True)
        conditions = [read_conditions(one.folder) for one in shares]
        if (kept := _conditions(conditions)) is not None:
            write_conditions(into, kept)
        run = merged(shares, conditions)
        write_run(into, run)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return run


def _jobs(shares: Sequence[ShareFolder]) -> Iterator[JobRecord]:
    """Return the jobs of all shares in the order in which they ended, as one generator writes them."""
    return heapq.merge(*(read_lines(one.folder / JOBS_FILE, JobRecord) for one in shares), key=lambda job: job.done)


def _write_lines(path: Path, records: Iterable[msgspec.Struct], made: list[Path], *, empty: bool = True) -> None:
    """Write records as lines; without records an empty file, or none."""
    with ExitStack() as files:
        file = None
        for record in records:
            if file is None:
                made.append(path)
                file = files.enter_context(path.open("wb"))
            file.write(to_line(record))
        if file is None and empty:
            made.append(path)
            path.touch()


def merged(shares: Sequence[ShareFolder], conditions: Sequence[ConditionsRecord | None]) -> RunRecord:
    """Return the head of the run of all shares; what one generator controlled or read once is that of the first."""
    first = shares[0].run
    runs = [one.run for one in shares]
    return msgspec.structs.replace(
        first,
        replica=1,
        replicas=1,
        state=max((run.state for run in runs), key=_WORST.index),
        started=min(run.started for run in runs),
        ended=max((run.ended for run in runs if run.ended is not None), default=None),
        service_replicas=max(run.service_replicas for run in runs),
        scenarios=[_scenario([run.scenarios[position] for run in runs]) for position in range(len(first.scenarios))],
        generators=[_generator(run, known) for run, known in zip(runs, conditions, strict=True)],
    )


def _scenario(parts: Sequence[ScenarioRecord]) -> ScenarioRecord:
    return msgspec.structs.replace(
        parts[0],
        state=max((part.state for part in parts), key=_WORST.index),
        started=_first(part.started for part in parts),
        ended=_last(part.ended for part in parts),
        cases=[_case([part.cases[position] for part in parts]) for position in range(len(parts[0].cases))],
    )


def _case(parts: Sequence[CaseRecord]) -> CaseRecord:
    """Return a case of all generators: sums of the load, the window of all, and the worst of their health."""
    busy = [part for part in parts if part.planned] or parts  # a generator without jobs has a window of no length
    laggard = max(busy, key=lambda part: part.loop_lag_p99_lower or part.loop_lag_p99 or 0.0)
    return msgspec.structs.replace(
        parts[0],
        concurrency=sum(part.concurrency for part in parts),
        planned=sum(part.planned for part in parts),
        warmup=sum(part.warmup for part in parts),
        started=_first(part.started for part in parts),
        ended=_last(part.ended for part in parts),
        agreed=_first(part.agreed for part in parts),
        generator_cpu=_last(part.generator_cpu for part in busy),
        loop_lag_p99=laggard.loop_lag_p99,
        loop_lag_p99_lower=laggard.loop_lag_p99_lower,
        stood_still=_last(part.stood_still for part in busy),
        arrivals=_arrivals([part.arrivals for part in parts if part.arrivals is not None]),
    )


def _arrivals(parts: Sequence[ArrivalsRecord]) -> ArrivalsRecord | None:
    if not parts:
        return None
    bursts = [part.burst_rate for part in parts if part.burst_rate is not None]
    return msgspec.structs.replace(
        parts[0],
        rate=sum(part.rate for part in parts),
        max_in_flight=sum(part.max_in_flight for part in parts),
        burst_rate=sum(bursts) if bursts else None,
    )


def _generator(run: RunRecord, conditions: ConditionsRecord | None) -> GeneratorRecord:
    return GeneratorRecord(
        number=run.replica,
        environment=run.environment,
        clock=list(conditions.readings(STORE_CLOCK)) if conditions is not None else [],
        cases=[
            GeneratorCaseRecord(
                scenario=scenario.name,
                case=case.name,
                planned=case.planned,
                started=case.started,
                ended=case.ended,
                agreed=case.agreed,
                generator_cpu=case.generator_cpu,
                loop_lag_p99=case.loop_lag_p99,
            )
            for scenario in run.scenarios
            for case in scenario.cases
        ],
    )


def _conditions(parts: Sequence[ConditionsRecord | None]) -> ConditionsRecord | None:
    """Return the conditions of the first generator, with the most disturbed machine of each case."""
    known = [part for part in parts if part is not None]
    if not known or parts[0] is None:
        return None
    worst: dict[tuple[str, str], MachineRecord] = {}
    for machine in (machine for part in known for machine in part.machine):
        place = machine.scenario, machine.case
        if place not in worst or (machine.others or 0.0) > (worst[place].others or 0.0):
            worst[place] = machine
    return msgspec.structs.replace(parts[0], machine=tuple(worst.values()))


def _first(instants: Iterable[float | None]) -> float | None:
    return min((at for at in instants if at is not None), default=None)


def _last(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
