"""The compared load generators: what the rig needs of each, and what each reports."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

JOB = ("create", "wait", "content")
"""Requests of a job in the mode rate."""


class BenchError(Exception):
    """A failed measurement; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load to send.

    Rate: `jobs` jobs in `users` closed loops. Arrivals: jobs arrive at `rate` for `seconds`. Freeze: the same, with the
    first request of a job only; k6 and Locust use `users` virtual users for them.
    """

    mode: Literal["rate", "arrivals", "freeze"]
    users: int
    jobs: int = 0
    rate: int = 0
    seconds: int = 0


def one_case(name: str, case: Mapping[str, Any], steps: Sequence[str], *, encoding: str) -> dict[str, Any]:
    """Return a scenario with one case, in the form of a scenario file."""
    return {
        "name": name,
        "dimension": "performance",
        "title": "Benchmark",
        "why": "Cost of measuring.",
        "steps": list(steps),
        "encoding": encoding,
        "video": {"seconds": "4", "size": "720x1280"},
        "time_limit": 60,
        "poll_interval": 0.25,
        "cases": [{"name": name, **case}],
        "objectives": {},
    }


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures that a generator reports."""

    requests: int
    p95: float
    """Reported P95 of the response time, in seconds."""
    dropped: int
    """Arrivals reported as not sent."""
    late: float | None = None
    """P99 of the time from the intended start of a job to its first request, in seconds; None: not known."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a generator."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the environment of this process."""


class Generator(Protocol):
    """One of the compared load generators."""

    @property
    def name(self) -> str:
        """Name in the tables."""

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Return the command that sends a load to a target; `folder` is for its files."""

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do periodic work for the running generator, such as a scrape; called a few times per second."""

    def figures(self, folder: Path) -> Figures:
        """Read the figures of the generator after it has ended.

        Raises:
            BenchError: there are no readable figures.
        """
