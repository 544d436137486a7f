"""Files with a row for each job, read as a stream: text with a prompt a line, JSON Lines, or CSV with a header.

All mistakes of a file are reported together, up to a number; sizes are bounded before anything is kept.
"""

from __future__ import annotations

import csv
import hashlib
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from reelbench.loadgen.plan.row import MAX_PROMPT, TIMES, Row, read_row, unknown_column
from reelbench.loadgen.record.run import InputRecord

MAX_PROMPTS: Final = 1_000_000
MAX_ARRIVALS: Final = 100_000
"""As in a case whose arrivals come from a rate."""
MAX_BYTES: Final = 512 * 1024 * 1024
MAX_LINE: Final = 1024 * 1024
MAX_ERRORS: Final = 20
"""Mistakes that are listed; further ones are counted."""
ROW_FILES: Final = frozenset({".txt", ".jsonl", ".ndjson", ".csv"})
"""Ends of names of such files."""
_MAX_COLUMNS: Final = 200
_BOM: Final = b"\xef\xbb\xbf"

Numbered = tuple[int, dict[str, Any]]


class RowFileError(Exception):
    """A file that cannot be used; `errors` has one line per mistake, with its cure."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows of a file, and what identifies the file."""

    record: InputRecord
    folder: Path
    """Paths in the rows are relative to this folder."""
    rows: tuple[Row, ...]


class _Problems:
    """The first mistakes of a file, and the number of the others."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._listed: dict[str, None] = {}
        self._more = 0

    def add(self, number: int | None, text: str) -> None:
        """Keep a mistake of a row, or of the whole file (None)."""
        line = f"{self._name} row {number}: {text}" if number is not None else f"{self._name}: {text}"
        if len(self._listed) < MAX_ERRORS:
            self._listed[line] = None
        elif line not in self._listed:
            self._more += 1

    def raise_any(self) -> None:
        """Raise RowFileError if there are mistakes."""
        if self._listed:
            more = [f"{self._name}: {self._more:,} more mistakes are not listed"] if self._more else []
            raise RowFileError([*self._listed, *more])


class _StopError(Exception):
    """The rest of the file cannot be read; its reason is among the problems."""


def read_rows(path: Path, *, timed: bool) -> RowFile:
    """Read a prompts file, or a trace of arrivals.

    Args:
        path: the file; the end of its name decides on the format.
        timed: the file is a trace: each row has a time, in ascending order.

    Raises:
        RowFileError: with the mistakes of the file.
    """
    problems = _Problems(path.name)
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "is not there" if not path.exists() else "is no regular file"
            raise RowFileError([f"{path.name} {what}; name a text, JSONL or CSV file"])
        with path.open("rb") as file:
            source = _Source(file, problems)
            rows = _read(path, source, problems, timed=timed)
    except OSError as error:
        raise RowFileError([f"{path.name} cannot be read ({error.strerror}); make it a readable file"]) from error
    problems.raise_any()
    if not rows:
        what = "arrivals" if timed else "prompts"
        raise RowFileError([f"{path.name} has no {what}; write one a row"])
    record = InputRecord(name=path.name, sha256=source.sha256, bytes=source.bytes, rows=len(rows))
    return RowFile(record, path.parent, tuple(rows))


def is_trace(path: Path) -> bool:
    """Return whether the first row of a file, or its header, has a time."""
    if path.suffix.lower() not in {".csv", ".jsonl", ".ndjson"} or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE).removeprefix(_BOM).decode("utf-8", "replace")
    except OSError:
        return False
    if path.suffix.lower() == ".csv":
        return any(cell.strip() in TIMES for cell in first.split(","))
    try:
        row = msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(row, dict) and not TIMES.isdisjoint(row)


def _read(path: Path, source: _Source, problems: _Problems, *, timed: bool) -> list[Row]:
    suffix = path.suffix.lower()
    if suffix == ".json" or (timed and suffix not in {".jsonl", ".ndjson", ".csv"}):
        wanted = "name it .jsonl and write an object a line, or use CSV"
        raise RowFileError([f"{path.name}: its name ends in {suffix or 'nothing'}; {wanted}"])
    numbered: Callable[[_Source, _Problems, bool], Iterator[Numbered]] = {
        ".jsonl": _objects, ".ndjson": _objects, ".csv": _table,
    }.get(suffix, _lines)  # fmt: skip
    most = MAX_ARRIVALS if timed else MAX_PROMPTS
    rows: list[Row] = []
    before: Row | None = None
    count = 0
    try:
        for number, cells in numbered(source, problems, timed):
            count += 1
            if count > most:
                problems.add(None, f"has more than {most:,} rows; use a part of it")
                break
            row, wrong = read_row(number, cells, timed=timed)
            for text in wrong:
                problems.add(number, text)
            if row is None:
                continue
            if before is not None and row.at is not None and before.at is not None and row.at < before.at:
                late = f"arrives {before.at - row.at:g} s before row {before.number}; sort the rows by time"
                problems.add(number, late)
            before = row
            rows.append(row)
    except _StopError:
        pass
    return rows


class _Source:
    """Lines of a file as text, bounded, with size and checksum of all that was read."""

    def __init__(self, file: BinaryIO, problems: _Problems) -> None:
        self._file = file
        self._problems = problems
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Checksum of the lines that were read."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        number = 0
        while line := self._file.readline(MAX_LINE + 1):
            number += 1
            self.bytes += len(line)
            self._digest.update(line)
            if len(line) > MAX_LINE:
                self._stop(number, f"is longer than {MAX_LINE:,} bytes; write one prompt a line")
            if self.bytes > MAX_BYTES:
                self._stop(None, f"is larger than {MAX_BYTES // 2**20} MiB; use a part of it")
            if number == 1 and line[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                self._stop(None, "is UTF-16 text; save it as UTF-8")
            try:
                yield (line.removeprefix(_BOM) if number == 1 else line).decode("utf-8")
            except UnicodeDecodeError:
                self._stop(number, "is not UTF-8 text; save the file as UTF-8")

    def _stop(self, number: int | None, text: str) -> None:
        self._problems.add(number, text)
        raise _StopError


def _lines(source: _Source, problems: _Problems, timed: bool) -> Iterator[Numbered]:  # noqa: ARG001, FBT001 - as the other formats
    for number, line in enumerate(source, start=1):
        if text := line.strip():
            yield number, {"prompt": text}


def _objects(source: _Source, problems: _Problems, timed: bool) -> Iterator[Numbered]:  # noqa: FBT001 - one call for all formats
    known: set[str] = set()
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            cells = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            problems.add(number, f"is not valid JSON ({str(error).split(' (byte')[0]}); correct it")
            continue
        if not isinstance(cells, dict):
            problems.add(number, f'is {reprlib.repr(cells)}; write an object such as {{"prompt": "A red kite"}}')
            continue
        if new := cells.keys() - known:
            wrong = [text for column in cells if column in new and (text := unknown_column(column, timed=timed))]
            if wrong:
                for text in wrong:
                    problems.add(number, text)
                continue
            known |= new
        yield number, cells


def _table(source: _Source, problems: _Problems, timed: bool) -> Iterator[Numbered]:  # noqa: FBT001 - one call for all formats
    reader = csv.reader(iter(source), strict=True)
    number, header = 0, None
    try:
        for cells in reader:
            number += 1
            if not cells:
                continue
            if header is None:
                header = [column.strip() for column in cells]
                _check_header(number, header, problems, timed=timed)
            elif len(cells) != len(header):
                cure = "put text with commas in double quotes"
                problems.add(number, f"has {len(cells)} cells, the header has {len(header)}; {cure}")
            else:
                yield number, {column: _cell(column, cell) for column, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        problems.add(number + 1, f"is not valid CSV ({error}); check its quotes")
        raise _StopError from error


def _check_header(number: int, header: list[str], problems: _Problems, *, timed: bool) -> None:
    """Check the columns of a table once; with an unknown one, its rows are not read."""
    wrong = [text for column in header if (text := unknown_column(column, timed=timed))]
    wrong += [f"column {column!r} is given twice; keep one" for column in header if header.count(column) > 1]
    if len(header) > _MAX_COLUMNS:
        wrong = [f"has {len(header)} columns; use {_MAX_COLUMNS} at most"]
    for text in wrong:
        problems.add(number, text)
    if wrong:
        raise _StopError


def _cell(column: str, cell: str) -> Any:
    """Return the value of a cell: in a column of an extra field, a number, true or false by its looks."""
    if column.startswith("extra.") and len(cell) <= MAX_PROMPT:
        try:
            value = msgspec.json.decode(cell)
        except (msgspec.DecodeError, RecursionError):
            return cell
        return value if isinstance(value, bool | int | float) else cell
    return cell
