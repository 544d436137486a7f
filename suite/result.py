"""The result of a command that made runs, read from what the runs left: one line, or one JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import JobRecord, read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError

REPORTS_DIR = "reports"
PAGE = "report.html"
RESULTS = "results.json"
NO_VERDICT = "NO VERDICT"


class Limits(msgspec.Struct, frozen=True):
    """An interval of a figure."""

    lower: float | None = None
    upper: float | None = None


class Objective(msgspec.Struct, frozen=True):
    """What a figure is judged by."""

    value: float
    direction: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a run with its verdict: the fields of ``results.json`` that this result shows."""

    sli: str
    title: str
    scenario: str
    case: str
    member: str = ""
    value: float | None = None
    unit: str = ""
    n: int | None = None
    interval: Limits | None = None
    objective: Objective | None = None
    verdict: str | None = None
    reason: str = ""


class _Dimension(msgspec.Struct, frozen=True):
    problems: tuple[str, ...] = ()


class _Results(msgspec.Struct, frozen=True, kw_only=True):
    verdict: str
    numbers: tuple[Figure, ...] = ()
    dimensions: tuple[_Dimension, ...] = ()


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was made."""

    run_id: str
    verdict: str
    state: str
    target: str
    jobs: dict[str, int]
    """Measured jobs by outcome."""
    objectives: dict[str, int]
    """Objectives by verdict."""
    figures: tuple[Figure, ...]
    """The numbers that were judged."""
    problems: tuple[str, ...]
    """Why not to trust the numbers."""
    paths: dict[str, str]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did."""

    verdict: str
    exit_code: int
    runs: tuple[OneRun, ...] = ()
    errors: tuple[str, ...] = ()

    def encode(self) -> str:
        """Return the result as one JSON object."""
        return msgspec.json.encode(self).decode()

    @property
    def line(self) -> str:
        """The verdict in one line, with the page of the run or of the first of several."""
        page = next((path for run in self.runs for name, path in run.paths.items() if name == "page"), None)
        runs = f"{len(self.runs)} runs" if len(self.runs) > 1 else next((run.run_id for run in self.runs), "no run")
        return f"{self.verdict}  {runs}" + (f"  {page}" if page else "")


def result(runs: Path, run_id: str, code: int, errors: Sequence[str] = ()) -> Result:
    """Return the result of a command that made the run `run_id`, or several whose ids begin so."""
    folders = sorted(path.parent for path in runs.glob(f"{run_id}*/{RUN_FILE}"))
    made = []
    unread = []
    for folder in folders:
        try:
            made.append(_run(folder))
        except RecordError as error:
            unread.append(str(error))
    return Result(verdict=_verdict(made, code), exit_code=code, runs=tuple(made), errors=(*errors, *unread))


def verdict_of(folder: Path) -> str:
    """Return the verdict of a run; a word without one where it has no results."""
    try:
        found = _results(folder / REPORTS_DIR / RESULTS)
    except RecordError:
        found = None
    return found.verdict if found else "-"


def _verdict(runs: Sequence[OneRun], code: int) -> str:
    if code == ExitCode.INTERRUPTED:
        return "INTERRUPTED"
    words = [run.verdict for run in runs]
    order = ("PASS", NO_VERDICT, "NO DATA", "INCONCLUSIVE", "FAIL", "INVALID")
    return max(words, key=lambda word: order.index(word) if word in order else 1, default=NO_VERDICT)


def _run(folder: Path) -> OneRun:
    """Return what a run left.

    Raises:
        RecordError: a file of it cannot be read.
    """
    run = read_run(folder)
    reports = folder / REPORTS_DIR
    found = _results(reports / RESULTS)
    judged = tuple(one for one in found.numbers if one.verdict is not None) if found else ()
    paths = {"folder": folder, "page": reports / PAGE, "results": reports / RESULTS, "reports": reports}
    return OneRun(
        run_id=run.run_id,
        verdict=found.verdict if found else NO_VERDICT,
        state=run.state,
        target=run.target,
        jobs=dict(Counter(str(job.outcome) for job in _measured(folder))),
        objectives=dict(Counter(one.verdict for one in judged if one.verdict is not None)),
        figures=judged,
        problems=tuple(problem for one in found.dimensions for problem in one.problems) if found else (),
        paths={name: str(path) for name, path in paths.items() if path.exists()},
    )


def _measured(folder: Path) -> list[JobRecord]:
    return [job for job in read_jobs(folder) if not job.warmup]


def _results(path: Path) -> _Results | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Results)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path} ({error.strerror}); export the run again") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); export the run again") from error
