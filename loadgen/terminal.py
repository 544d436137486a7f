"""The terminal of the load generator."""

from __future__ import annotations

import sys

from rich.console import Console

from reelbench.output import discard


class Terminal(Console):
    """A console whose reader may go away: the load goes on, and its messages go nowhere."""

    def on_broken_pipe(self) -> None:
        """Write nothing more; rich would end the process, and send standard output nowhere, which has the traces."""
        self.quiet = True
        discard(sys.stderr)
