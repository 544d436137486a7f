"""``python -m tests.fuzz``: fuzzes every reader of outside bytes, and service, providers and client over sockets.

Each reader works in a process of its own, as native code may crash. A case that fails is kept in ``corpus/`` and is
replayed by the fast tests from then on. The exit code is 1 when there are findings.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import openapi, sockets
from tests.fuzz.child import PRESENT
from tests.fuzz.readers import all_readers

CORPUS = Path(__file__).parent / "corpus"
TABLE = Path(__file__).parents[1] / "reports" / "fuzz.md"
OVER_SOCKETS = 0.2
"""Share of the cases that go over sockets."""
OF_OPENAPI = 0.05
"""Share of the cases that are made from the OpenAPI description."""
GRACE_SECONDS = 180.0
"""Beyond its seconds, for the start of a process."""


@dataclass(frozen=True)
class Line:
    """What the fuzzing of one reader found."""

    name: str
    cases: int
    findings: Sequence[str]
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000, help="cases of all readers together")
    parser.add_argument("--seconds", type=float, default=600.0, help="time for all of them together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="default: a new one")
    parser.add_argument("--only", action="append", default=[], help="name of a reader, openapi or sockets")
    asked = parser.parse_args()
    how = "Atheris" if find_spec("atheris") else "changed seeds (Atheris is not installed)"
    print(f"seed {asked.seed}, readers by {how}", flush=True)  # noqa: T201 - for the user
    lines = []
    for line in _lines(asked):
        lines.append(line)
        print(f"{line.name}: {line.cases} cases, {len(line.findings)} findings, {line.seconds:.0f} s", flush=True)  # noqa: T201
        for finding in line.findings:
            print(f"  {finding}", flush=True)  # noqa: T201
    rows = [f"| {line.name} | {line.cases} | {len(line.findings)} |" for line in lines]
    total = f"| all | {sum(line.cases for line in lines)} | {sum(len(line.findings) for line in lines)} |"
    text = "\n".join(
        [f"Seed {asked.seed}.\n", "| reader | cases | findings |", "| --- | --- | --- |", *rows, total, ""]
    )
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text, encoding="utf-8")
    print(f"\n{text}")  # noqa: T201
    return int(any(line.findings for line in lines))


def _lines(asked: argparse.Namespace) -> Iterator[Line]:
    wanted = set(asked.only)
    known = all_readers()
    if unknown := wanted - known.keys() - {"openapi", "sockets"}:
        raise SystemExit(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(known)}, openapi, sockets")
    until = time.monotonic() + asked.seconds
    chosen = {name: entry for name, entry in known.items() if not wanted or name in wanted}
    weights = sum(reader.weight for _, reader in chosen.values())
    rest = 1.0 if wanted else 1 - OVER_SOCKETS - OF_OPENAPI
    workers = os.cpu_count() or 1

    def one(entry: tuple[str, str, int]) -> Line:
        name, table, weight = entry
        share = rest * weight / weights
        return fuzz(table, name, round(asked.cases * share), asked.seconds * share * workers, asked.seed)

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, [(name, table, reader.weight) for name, (table, reader) in chosen.items()])
    for name, share, run in (("sockets", OVER_SOCKETS, sockets.fuzz), ("openapi", OF_OPENAPI, openapi.fuzz)):
        if wanted and name not in wanted:
            continue
        count = asked.cases if wanted else round(asked.cases * share)
        for label, made, findings, seconds in run(count, max(120.0, until - time.monotonic()), asked.seed):
            yield Line(label, made, findings, seconds)


def fuzz(table: str, name: str, cases: int, seconds: float, seed: int) -> Line:
    """Fuzz one reader in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        options = ["--cases", str(cases), "--seconds", str(seconds), "--seed", str(seed), "--out", folder]
        try:
            child = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.child", table, name, *options],
                capture_output=True,
                timeout=seconds + GRACE_SECONDS,
                check=False,
            )
            ended, printed, said = child.returncode, child.stdout, child.stderr
        except subprocess.TimeoutExpired as late:
            ended, printed, said = -1, late.stdout or b"", late.stderr or b""
        findings = [_keep(name, path) for path in sorted(out.glob("*.txt"))]
        if ended:
            print(said.decode(errors="replace")[-3000:], file=sys.stderr, flush=True)  # noqa: T201
            case = CORPUS / name / f"ended-{cases}-{seed}"
            case.parent.mkdir(exist_ok=True)
            case.write_bytes((out / PRESENT).read_bytes() if (out / PRESENT).exists() else b"")
            findings.append(f"{case}: the process ended with {ended}")
    words = printed.split()
    return Line(name, int(words[-1]) if words and words[-1].isdigit() else 0, findings, time.monotonic() - began)


def _keep(name: str, said: Path) -> str:
    """Keep the case of a finding, and return a line about it."""
    case = CORPUS / name / said.stem
    case.parent.mkdir(exist_ok=True)
    case.write_bytes(said.with_suffix("").read_bytes())
    text = said.read_text(encoding="utf-8").rstrip()
    print(text, file=sys.stderr, flush=True)  # noqa: T201
    return f"{case}: {text.splitlines()[-1][:200]}"


if __name__ == "__main__":
    sys.exit(main())
