"""Removal of old or large runs: what would go, and its removal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reelbench.loadgen.record.going_on import goes_on
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RecordError
from reelbench.suite.run_folders import Found

_AGES: Final = {"h": 3_600, "d": 86_400, "w": 604_800}
_SIZES: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


class PruneError(Exception):
    """A limit that cannot be read; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which runs go: those beyond every limit that is given."""

    seconds: float | None
    """Age of a run from its start."""
    size: float | None
    """Bytes of a run."""


def limits(older_than: str | None, larger_than: str | None) -> Limits:
    """Return the limits of the command line.

    Raises:
        PruneError: no limit is given, or one cannot be read.
    """
    if older_than is None and larger_than is None:
        raise PruneError("--prune: needs --older-than, --larger-than or both; such as --older-than 30d")
    return Limits(
        None if older_than is None else _read("--older-than", older_than, _AGES, "30d, 12h or 2w"),
        None if larger_than is None else _read("--larger-than", larger_than, _SIZES, "5GB or 500MB"),
    )


def chosen(found: Sequence[Found], given: Limits, now: float) -> tuple[list[Found], list[Found]]:
    """Return the runs that go, and those beyond the limits that are kept because they go on.

    A folder whose head cannot be read is kept: it may be something else.
    """
    beyond = [
        one
        for one in found
        if one.run is not None
        and (given.seconds is None or now - one.run.started > given.seconds)
        and (given.size is None or one.size > given.size)
    ]
    return [one for one in beyond if not one.going], [one for one in beyond if one.going]


def remove(one: Found, now: float) -> bool:
    """Remove the folder of a run; return False if a process has begun to work on it since it was found.

    The folder gets a hidden name first, so half a folder is never taken for a run.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        ended = read_run(one.folder).ended
    except RecordError:
        return False
    if one.folder.is_symlink() or goes_on(one.folder, ended, now):
        return False
    hidden = one.folder.with_name(f".{one.folder.name}.pruned")
    one.folder.rename(hidden)
    shutil.rmtree(hidden)
    return True


def _read(option: str, text: str, units: dict[str, int], example: str) -> float:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        raise PruneError(f"{option}: {text!r} cannot be read; write it like {example}")
    return float(found[1]) * units[found[2].lower()]
