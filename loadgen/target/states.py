"""States of a job: what the words of servers mean."""

from __future__ import annotations

from typing import Final, Literal, get_args

from reelbench.loadgen.target.target_file import States

State = Literal["running", "completed", "failed", "cancelled", "expired", "deleted"]
ENDS: Final[frozenset[str]] = frozenset(get_args(State)) - {"running"}

_COMMON: Final[dict[State, str]] = {
    "completed": "completed complete succeeded succeed success successful done finished ready generated",
    "failed": "failed failure fail error errored rejected timeout timed_out blocked moderated",
    "cancelled": "cancelled canceled aborted terminated revoked",
    "expired": "expired",
    "deleted": "deleted removed",
}
"""Words that servers use, one set for each end."""
DELETING: Final = frozenset({"deleted", "deleting", "removed", "cancelled", "canceled", "cancelling", "canceling"})
"""Words of a job whose deletion or cancellation the server accepted."""


class Words:
    """The meaning of a server's words: the common ones and those of the target file, in any case."""

    def __init__(self, states: States) -> None:
        given: dict[State, tuple[str, ...]] = {
            "completed": states.completed,
            "failed": states.failed,
            "cancelled": states.cancelled,
            "expired": states.expired,
            "deleted": states.deleted,
        }
        self._meaning: dict[str, State] = {word: end for end, words in _COMMON.items() for word in words.split()}
        self._meaning |= {plain(word): end for end, words in given.items() for word in words}

    def state(self, word: str | None) -> State:
        """Return the state that a word stands for; unknown words and no word mean running."""
        return self._meaning.get(plain(word), "running") if word else "running"


def plain(word: str) -> str:
    """Return a word in lower case with underscores."""
    return word.strip().lower().replace(" ", "_").replace("-", "_")
