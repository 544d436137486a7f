"""The files of a run directory: their names, and how they are written and read.

A run is one folder, ``runs/<run_id>/``::

    run.json           one `RunRecord`, replaced atomically at every change of state
    stack.json         one `StackRecord`; absent when the target was not started here
    plan.jsonl         one planned job per line; its sha256 is the plan hash
    jobs.jsonl         one `JobRecord` per line, appended as jobs end
    requests.jsonl     one `RequestRecord` per line, appended as requests end
    calls.jsonl        one `CallRecord` per line, of the cases with faults and of resources; absent when there were none
    videos.jsonl       one `VideoRecord` per line, of the downloaded files that were opened; absent when there were none
    processes.jsonl    one `UsageSample` per line, of scenarios of resources; absent when no process was visible
    videos/            the files that were kept
    commands/          what the commands of faults printed, one file per fault; absent without such faults
    measurements.json  what telemetry said, kept by the first export
    server.json        what the server's own metrics said, kept by the first export; absent when it has none
    slis.yaml          indicators of the user; absent when there are none

All instants are Unix time in seconds (float); all durations are seconds. Instants of one run come from one
anchor of the wall clock plus the monotonic clock, so that differences between them are exact even when the
wall clock is stepped.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

SCHEMA_VERSION = 1
"""Version of the run directory. A reader rejects any other version."""

_BLOCK = 1_000_000
"""Bytes of a file of records that are decoded at once."""

RUN_FILE = "run.json"
STACK_FILE = "stack.json"
PLAN_FILE = "plan.jsonl"
JOBS_FILE = "jobs.jsonl"
REQUESTS_FILE = "requests.jsonl"
CALLS_FILE = "calls.jsonl"
VIDEOS_FILE = "videos.jsonl"
MEASUREMENTS_FILE = "measurements.json"
SERVER_FILE = "server.json"
CONDITIONS_FILE = "conditions.json"
PROCESSES_FILE = "processes.jsonl"
SLIS_FILE = "slis.yaml"
TRACES_DIR = "traces"
COMMANDS_DIR = "commands"

R = TypeVar("R", bound=msgspec.Struct)


class RecordError(Exception):
    """A run directory that cannot be read; the message is one sentence with the cure."""


class _Version(msgspec.Struct):
    schema_version: int


@dataclass(frozen=True, slots=True)
class VersionedFile(Generic[R]):
    """A JSON file of a run directory with one record, which has a field `schema_version`."""

    name: str
    kind: type[R]
    cure: str = "run the suite again"
    """What to do about a damaged file."""

    def read(self, folder: Path) -> R | None:
        """Read the record; None when the folder has no such file.

        Raises:
            RecordError: the file cannot be read, is damaged, or has another schema version.
        """
        path = folder / self.name
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(f"cannot read {path} ({error.strerror}); name a readable run directory") from error
        return self.decode(path, raw)

    def decode(self, path: Path, raw: bytes) -> R:
        """Decode the content of the file at `path`.

        Raises:
            RecordError: the content is damaged, or has another schema version.
        """
        try:
            version = msgspec.json.decode(raw, type=_Version).schema_version
            if version == SCHEMA_VERSION:
                return msgspec.json.decode(raw, type=self.kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} is damaged or cut off ({error}); {self.cure}") from error
        raise RecordError(
            f"{path} has schema version {version}, this Reelbench reads version {SCHEMA_VERSION}; "
            "use the Reelbench that wrote it"
        )

    def write(self, folder: Path, record: R) -> Path:
        """Replace the file atomically: a reader sees the old or the new record, never a part."""
        path = folder / self.name
        write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        return path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader and no crash ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_line(record: msgspec.Struct) -> bytes:
    """Encode one record as a line of a JSON Lines file."""
    return msgspec.json.encode(record) + b"\n"


def read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a JSON Lines file; an unfinished last line (the writer was killed) is left out.

    Raises:
        RecordError: the file is missing, or a line other than an unfinished last one is damaged.
    """
    decoder = msgspec.json.Decoder(kind)
    before = 0
    for block in _blocks(path):
        try:
            yield from decoder.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # line by line: which one is damaged, or not finished
            yield from _one_by_one(path, block, before, decoder)
        before += block.count(b"\n")


def _one_by_one(path: Path, block: bytes, before: int, decoder: msgspec.json.Decoder[R]) -> Iterator[R]:
    for number, line in enumerate(io.BytesIO(block), start=before + 1):
        try:
            yield decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if not line.endswith(b"\n"):  # the writer was cut off in the middle of the last line
                return
            raise RecordError(f"{path}, line {number} is damaged ({error}); run the suite again") from error


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield whole lines of a file, which may be larger than memory, about a megabyte at once."""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block if block.endswith(b"\n") else block + file.readline()
    except OSError as error:
        raise RecordError(
            f"cannot read {path} ({error.strerror}); the run directory is incomplete, run the suite again"
        ) from error
