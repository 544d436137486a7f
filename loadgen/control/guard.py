"""The guard: a process that ends what this load generator began, should it die before it can."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from reelbench.loadgen.control import guard_process


class Guard:
    """Client of the guard process, which is started at the first entry; use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()

    def run(
        self, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, timeout: float, output: Path
    ) -> int:
        """Let the guard run a command if this process dies; return the number of the entry."""
        return self._add(
            argv=list(argv),
            env=dict(environment),
            directory=str(directory),
            timeout=timeout,
            output=str(output.absolute()),
        )

    def end_group(self, group: int) -> int:
        """Let the guard end a process group if this process dies; return the number of the entry."""
        return self._add(group=group)

    def delete(self, url: str) -> int:
        """Let the guard send a DELETE request if this process dies; return the number of the entry."""
        return self._add(delete=url)

    def done(self, entry: int) -> None:
        """Remove an entry."""
        self._tell({"done": entry})

    def _add(self, **entry: object) -> int:
        number = next(self._ids)
        self._tell({"id": number, **entry})
        return number

    def _tell(self, line: Mapping[str, object]) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(guard_process.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        # A guard that was killed is no reason to end the run: the load generator ends its faults itself.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
