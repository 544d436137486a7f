"""The settings of one load, as checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.document import Document
from reelbench.loadgen.plan.scenario import Profile, Scenario


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for, checked."""

    run_dir: Path
    run_id: str | None
    """None when the replicas agree on one."""
    scenarios: Sequence[Scenario]
    profile: Profile
    seed: int
    target: str
    document: Document
    providers: str | None = None
    """Base URL of the mock providers, whose faults scenarios control; None: they are not ours."""
    named: bool = False
    """Whether the user chose the scenarios; those of a default choice that the target cannot run are left out."""
    rendezvous: str | None = None
    """URL of the store in which the replicas meet; None for a generator that runs the whole plan."""
