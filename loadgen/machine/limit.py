"""The share of the machine that other processes may take, as the user sets it."""

from __future__ import annotations

from collections.abc import Mapping

from reelbench.loadgen.record.conditions import OTHERS_LIMIT

LIMIT_VARIABLE = "REELBENCH_OTHERS_LIMIT"
_NONE = "none"


class LimitError(Exception):
    """A limit that cannot be used; the message is one sentence with the cure."""


def others_limit(environment: Mapping[str, str]) -> float | None:
    """Return the share of the CPUs above which other processes make a case INCONCLUSIVE; None: not judged.

    Raises:
        LimitError: the variable has another value.
    """
    text = environment.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return OTHERS_LIMIT
    if text.lower() == _NONE:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise LimitError(
            f"{LIMIT_VARIABLE}: {text!r} is no share; write one such as 25%, or none to judge no case by it"
        )
    return share
