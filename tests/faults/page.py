"""The matrix as Markdown: with times for the reader of one run, and without them for the page."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run import read_run
from tests.faults.matrix import ROWS, Ended, Row

BEGIN, END = "<!-- matrix of faults: begin -->", "<!-- matrix of faults: end -->"
"""Between these lines of the page, the matrix is written by `make test-faults`."""
_BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
_WORDS: Mapping[ExitCode, str] = {
    ExitCode.PASS: "PASS",
    ExitCode.FAIL: "FAIL",
    ExitCode.USAGE: "usage",
    ExitCode.INCONCLUSIVE: "INCONCLUSIVE",
    ExitCode.ABSENT: "stack not there",
    ExitCode.INTERRUPTED: "interrupted",
}


def written_into(page: str, found: Mapping[str, Ended]) -> str:
    """Return the page with the matrix of this run; rows that were not run keep what the page says of them."""
    match = _BETWEEN.search(page)
    assert match is not None, "the page has no place for the matrix"
    return page[: match.start()] + "\n".join(_rows(found, _known(match[0]))) + "\n" + page[match.end() :]


def _known(table: str) -> dict[str, str]:
    """Return the last cell of each row of a table, by the first three."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
    return {", ".join(row[:3]): row[-1] for row in rows}


def _rows(found: Mapping[str, Ended], known: Mapping[str, str]) -> Iterator[str]:
    yield "| process or place | fault | phase | what holds | exit codes | last seen |"
    yield "|" + " --- |" * 6
    for row in ROWS:
        ended = found.get(row.name)
        seen = known.get(row.name, "not run") if ended is None else _code(ended.code)
        yield f"| {row.process} | {row.fault} | {row.phase} | {row.promise} | {codes(row)} | {seen} |"


def codes(row: Row) -> str:
    """Return the exit codes that a row permits."""
    return ", ".join(_code(code) for code in sorted(row.codes))


def _code(code: int) -> str:
    # Ctrl-C can end the process before Python has begun; a shell says 130 then too.
    code = ExitCode.INTERRUPTED if code == -signal.SIGINT else code
    return f"{int(code)} {_WORDS.get(ExitCode(code), '')}".strip()


def with_times(found: Mapping[str, Ended]) -> str:
    """Return the matrix of this run with the seconds from the fault to the end of the command."""
    lines = ["| process or place | fault | phase | exit code | seconds to the end | the run |", "|" + " --- |" * 6]
    for row in ROWS:
        if (ended := found.get(row.name)) is not None:
            cells: Sequence[str] = (row.process, row.fault, row.phase, str(ended.code), f"{ended.seconds:.1f}")
            lines.append(f"| {' | '.join(cells)} | {_described(ended)} |")
    return "\n".join(lines) + "\n"


def _described(ended: Ended) -> str:
    if not ended.folders:
        return "no folder"
    verdicts = [line for line in ended.printed.splitlines() if line.startswith("performance: ")]
    return f"{read_run(ended.folders[0]).state}, {verdicts[-1] if verdicts else 'no report'}"
