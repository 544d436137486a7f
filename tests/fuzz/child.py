"""``python -m tests.fuzz.child``: fuzzes one reader in this process, with Atheris where it is installed.

A native crash ends this process, and its parent keeps the case that was written before. Findings are written once for
each place in the code; the last line on standard output is the number of cases.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.cases import cases
from tests.fuzz.reader import Reader
from tests.fuzz.readers import TABLES, readers_of

MEMORY_BYTES = 2 * 1024**3
"""Data of this process: far above what a case of some KiB needs."""
CASE_CPU_SECONDS = 20
"""CPU time of one case; the process is ended after it."""
NO_LIMIT = 1_000_000
"""Seconds of a case on the clock. With 0, Atheris ends the process once a case takes a second, as on a busy machine."""
PRESENT = "present"
"""File with the case that is being read."""


class Findings:
    """Cases whose reader failed, one for each place in the code."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[tuple[str, str, int]] = set()

    def add(self, data: bytes, error: BaseException) -> None:
        """Keep a case, unless another one failed at the same place."""
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = (type(error).__name__, at.filename, at.lineno or 0)
        if place in self._known:
            return
        self._known.add(place)
        path = self._folder / hashlib.sha256(data).hexdigest()[:12]
        path.write_bytes(data)
        text = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def trial(reader: Reader, findings: Findings, place: Path, scratch: Path) -> Callable[[bytes], None]:
    """Return the function that tries one case."""
    present = os.open(place / PRESENT, os.O_RDWR | os.O_CREAT)

    def one(data: bytes) -> None:
        os.ftruncate(present, 0)
        os.pwrite(present, data, 0)
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + CASE_CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            reader.try_case(data, scratch)
        except BaseException as error:  # noqa: BLE001 - every exception is a finding
            findings.add(data, error)

    return one


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("reader")
    parser.add_argument("--cases", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    atheris = import_module("atheris") if find_spec("atheris") else None
    tracing = atheris.instrument_imports(include=[*TABLES[asked.table]]) if atheris else contextlib.nullcontext()
    with tracing:
        reader = readers_of(asked.table)[asked.reader]
    with tempfile.TemporaryDirectory() as scratch:
        one = trial(reader, Findings(asked.out), asked.out, Path(scratch))
        if atheris:
            _with_feedback(atheris, reader, one, asked, Path(scratch))
        else:
            _without(reader, one, asked)


def _without(reader: Reader, one: Callable[[bytes], None], asked: argparse.Namespace) -> None:
    until, made = time.monotonic() + asked.seconds, 0
    for data in cases(reader.seeds(), reader.words, reader.most, Random(asked.seed)):
        if made >= asked.cases or time.monotonic() > until:
            break
        one(data)
        made += 1
    _end(made)


def _with_feedback(
    atheris: Any, reader: Reader, one: Callable[[bytes], None], asked: argparse.Namespace, scratch: Path
) -> None:
    seeds, words = scratch / "seeds", scratch / "words"
    seeds.mkdir()
    for number, seed in enumerate(reader.seeds()):
        (seeds / str(number)).write_bytes(seed)
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in reader.words]
    words.write_text("\n".join(lines) + "\n")
    until, made = time.monotonic() + asked.seconds, 0

    def count(data: bytes) -> None:
        nonlocal made
        if made >= asked.cases or time.monotonic() > until:
            _end(made)
        made += 1
        one(data)

    options = [f"-seed={asked.seed % 2**32 or 1}", f"-max_len={reader.most}", f"-dict={words}", "-verbosity=0"]
    options += [f"-timeout={NO_LIMIT}", "-rss_limit_mb=0", "-len_control=0", f"-artifact_prefix={asked.out}/"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], count)
    atheris.Fuzz()


def _end(made: int) -> None:
    """Say how many cases there were; libFuzzer has no return."""
    sys.stdout.write(f"{made}\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
