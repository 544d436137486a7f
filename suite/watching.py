"""The wait for the end of a load, in which the death of a part that the run needs is noticed at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from reelbench.stack.forwarding import Forwarding

ABORT = (signal.SIGTERM, signal.SIGINT)
"""Two signals that differ, so that the second is not merged with the first: no new jobs, and those in flight end."""


class Watched(Protocol):
    """A stack whose processes may end."""

    def deaths(self) -> dict[str, str]:
        """Return the parts that have ended: name to a sentence."""

    def needed(self, name: str) -> bool:
        """Return whether a run makes no sense without a part."""


@dataclass(slots=True)
class Watch:
    """Says once that a part has ended, and ends the load where the run cannot do without it."""

    stack: Watched
    forwarding: Forwarding
    say: Callable[[str], None]
    lost: str = ""
    """Sentence on the part without which the load was ended; empty: none."""
    _said: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look at the parts once."""
        for name, sentence in self.stack.deaths().items():
            if name in self._said:
                continue
            self._said.add(name)
            if self.stack.needed(name):
                self.lost = sentence
                self.say(f"error: {sentence}; the load ends now, and the report holds what was measured until then")
                self.forwarding.end_all(*ABORT)
            else:
                self.say(f"warning: {sentence}; the load goes on and shows what that does")
