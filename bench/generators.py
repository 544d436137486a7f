"""A load generator as the rig sees it: a command that sends a known load, and the figures that it gives of it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import msgspec

JOB = ("create", "wait", "content")
"""Requests of a job in the mode rate."""


class BenchError(Exception):
    """A measurement that went wrong; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Rate: `jobs` jobs in closed loops, `users` at a time. Freeze: arrivals at `rate` for `seconds`, for which a peer may
    use `users` of its own.
    """

    mode: Literal["rate", "freeze"]
    users: int
    jobs: int = 0
    rate: int = 0
    seconds: int = 0


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a generator says of its load."""

    requests: int
    p95: float
    """Its own figure of the response time, in seconds."""
    dropped: int
    """Arrivals that it says it did not send."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a generator."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to that of this process."""


class Generator(Protocol):
    """One of those that are compared."""

    @property
    def name(self) -> str:
        """For the user."""

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """How to send a load to a target; `folder` is for its files."""

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do what the generator needs from outside; called a few times in a second while it runs."""

    def figures(self, folder: Path) -> Figures:
        """Read what the generator says once it has ended.

        Raises:
            BenchError: there is nothing, or nothing readable.
        """


def read_report(folder: Path, name: str) -> Figures:
    """Read the file ``report.json`` that the peers write.

    Raises:
        BenchError: it is not there, or not like that.
    """
    try:
        return msgspec.json.decode((folder / "report.json").read_bytes(), type=Figures)
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(f"{name} left no figures ({error}); run it again") from error
