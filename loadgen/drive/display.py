"""How the progress of a run is shown: a live region on a terminal, plain lines, JSON lines, or errors alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from reelbench.loadgen.drive.failures import Failure
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.terminal import Terminal
from reelbench.output import write_line

REFRESHES: Final = 4
"""Updates of the live region per second."""
LINE_SECONDS: Final = 30.0
"""Least seconds between two lines about a case that goes on, where there is no terminal."""
REPEAT_SECONDS: Final = 10.0
"""Least seconds between two lines about the repeats of a failure."""
EVENT_SECONDS: Final = 1.0
"""Least seconds between two JSON lines about a case that goes on."""
_BAR: Final = 20
_WIDE: Final = 60
"""Columns from which the live region has a bar."""
_MINUTE: Final = 60
_HOUR: Final = 3_600


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the case that runs, and of the whole plan."""

    scenario: str
    case: str
    done: int
    total: int
    """Jobs of the case, warm-up included."""
    in_flight: int
    p95: float | None
    """Seconds, of the completed jobs."""
    rate: float | None
    """Completed jobs per second of the case; None before its end."""
    outcomes: dict[str, int]
    """Jobs of the case by outcome."""
    share: float
    """Share of the whole plan that is done."""
    plan_done: int
    plan_total: int
    left: float | None
    """Estimate of the seconds until the end of the load; None: not known."""

    @property
    def plan(self) -> str:
        """The whole plan in words."""
        left = f", about {duration(self.left)} left" if self.left is not None and self.share < 1 else ""
        return f"{self.share:.0%} of the plan{left}"

    @property
    def troubles(self) -> str:
        """The jobs that did not complete, in words."""
        return "".join(f"  {n} {outcome}" for outcome, n in sorted(self.outcomes.items()) if outcome != "completed")

    @property
    def line(self) -> str:
        """A case that has ended, in one line."""
        if not self.total:
            return f"{self.scenario} {self.case}  no jobs"
        rate = f"  {rate_text(self.rate)}" if self.rate is not None else ""
        return (
            f"{self.scenario} {self.case}  {self.done}/{self.total} jobs  P95 {p95_text(self.p95)}{rate}{self.troubles}"
        )


class Display(Protocol):
    """Shows progress; use as a context manager."""

    due: float
    """Least seconds between two calls of `going`."""

    def start(self) -> None:
        """Begin to show."""

    def stop(self) -> None:
        """End; nothing of a live region is left."""

    def say(self, line: str) -> None:
        """Show a line about the run."""

    def error(self, line: str) -> None:
        """Show why the run ends."""

    def begin(self, seen: Seen) -> None:
        """Show a case that begins."""

    def going(self, seen: Seen) -> None:
        """Show a case that goes on."""

    def over(self, seen: Seen) -> None:
        """Show a case that has ended."""

    def failure(self, failure: Failure) -> None:
        """Show a failure."""


class Lines:
    """Plain lines: no carriage returns, no colours."""

    due = LINE_SECONDS

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""

    def say(self, line: str) -> None:
        """Write a line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def error(self, line: str) -> None:
        """Write why the run ends."""
        self.say(f"error: {line}")

    def begin(self, seen: Seen) -> None:
        """Write nothing: a case has one line, at its end."""

    def going(self, seen: Seen) -> None:
        """Write how far a long case is."""
        self.say(
            f"{seen.scenario} {seen.case}  {seen.done}/{seen.total} jobs, {seen.in_flight} in flight  ({seen.plan})"
        )

    def over(self, seen: Seen) -> None:
        """Write the line of a case."""
        self.say(f"{seen.line}  ({seen.plan})")

    def failure(self, failure: Failure) -> None:
        """Write a failure."""
        self.say(failure.line)


class Region(Lines):
    """Two lines at the bottom of a terminal that are updated in place, below lines that stay."""

    due = 1 / REFRESHES

    def __init__(self, console: Console, left: Callable[[], float | None]) -> None:
        """Prepare the region.

        Args:
            console: a terminal.
            left: returns the seconds that are left by now, which count down while no job ends.
        """
        super().__init__(console)
        self._left = left
        self._seen: Seen | None = None
        self._live = Live(
            get_renderable=self._rendered,
            console=console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,  # standard output is the trace stream
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Show the region."""
        self._live.start()

    def stop(self) -> None:
        """Remove the region."""
        self._live.stop()

    def begin(self, seen: Seen) -> None:
        """Update the region."""
        self._seen = seen

    def going(self, seen: Seen) -> None:
        """Update the region."""
        self._seen = seen

    def over(self, seen: Seen) -> None:
        """Write the line of a case above the region."""
        self._seen = seen
        self.say(seen.line)

    def _rendered(self) -> Group:
        seen = self._seen
        lines = [] if seen is None else region(seen, self._left(), self._console.width, ascii_only=self._ascii)
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    @property
    def _ascii(self) -> bool:
        return not self._console.encoding.startswith("utf")


class Events:
    """JSON lines, one for each event."""

    due = EVENT_SECONDS

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""

    def say(self, line: str) -> None:
        """Write an event about the run."""
        self._write("note", text=line)

    def error(self, line: str) -> None:
        """Write why the run ends."""
        self._write("error", text=line)

    def begin(self, seen: Seen) -> None:
        """Write that a case begins."""
        self._write("begin", **msgspec.to_builtins(seen))

    def going(self, seen: Seen) -> None:
        """Write how far a case is."""
        self._write("progress", **msgspec.to_builtins(seen))

    def over(self, seen: Seen) -> None:
        """Write the numbers of a case."""
        self._write("case", **msgspec.to_builtins(seen))

    def failure(self, failure: Failure) -> None:
        """Write a failure."""
        self._write("failure", **msgspec.to_builtins(failure))

    def _write(self, kind: str, **fields: object) -> None:
        write_line(msgspec.json.encode({"event": kind} | fields).decode(), self._console.file)


class ErrorsAlone(Lines):
    """Nothing but why a run ends."""

    due = LINE_SECONDS

    def say(self, line: str) -> None:
        """Show nothing."""

    def going(self, seen: Seen) -> None:
        """Show nothing."""

    def over(self, seen: Seen) -> None:
        """Show nothing."""

    def failure(self, failure: Failure) -> None:
        """Show nothing."""

    def error(self, line: str) -> None:
        """Write why the run ends."""
        super().say(f"error: {line}")


def display(style: Style, console: Console, left: Callable[[], float | None]) -> Display:
    """Return the display of a style."""
    match style:
        case Style.NONE:
            return ErrorsAlone(console)
        case Style.JSON:
            return Events(console)
        case Style.LINES:
            return Lines(console)
        case Style.LIVE:
            return Region(console, left)
    return Region(console, left) if console.is_terminal else Lines(console)


def stderr_console(environment: Mapping[str, str], *, terminal: bool) -> Console:
    """Return standard error: a terminal only where its cursor can be moved and it is no log of CI.

    Variables that force colours into a file do not make it a terminal.
    """
    dumb = environment.get("TERM", "").lower() in {"", "dumb", "unknown"} and sys.platform != "win32"
    log = environment.get("CI", "").lower() not in {"", "0", "false"}
    plain = bool(environment.get("NO_COLOR"))
    return Terminal(stderr=True, force_terminal=terminal and not dumb and not log, no_color=plain or None)


def region(seen: Seen, left: float | None, width: int, *, ascii_only: bool) -> list[str]:
    """Return the two lines of the live region: the plan and the case, in at most `width` columns."""
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    filled = round(_BAR * seen.share)
    bar = f"{full * filled}{empty * (_BAR - filled)} " if width >= _WIDE else ""
    time = f"about {duration(left)} left" if left is not None else "time left: not known yet"
    jobs = f"  {seen.plan_done:,}/{seen.plan_total:,} jobs" if width >= _WIDE else ""
    plan = f"{seen.share:4.0%} {bar}{jobs.strip()}  {time}" if jobs else f"{seen.share:4.0%}  {time}"
    parts = [
        f"{seen.scenario} {seen.case}",
        f"{seen.done}/{seen.total}",
        f"{seen.in_flight} in flight",
        *(f"{n} {outcome}" for outcome, n in sorted(seen.outcomes.items()) if outcome != "completed"),
        f"P95 {p95_text(seen.p95)}",
    ]
    case = f"     {parts[0]}" if width >= _WIDE else parts[0]
    for part in parts[1:]:
        if len(case) + 2 + len(part) <= width:
            case += f"  {part}"
    return [plan, case]


def duration(seconds: float) -> str:
    """Return a length of time as minutes and seconds, or hours, minutes and seconds."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, _MINUTE)
    if whole < _HOUR:
        return f"{minutes}:{rest:02}"
    return f"{minutes // _MINUTE}:{minutes % _MINUTE:02}:{rest:02}"


def p95_text(seconds: float | None) -> str:
    """Return a P95 in words."""
    return "- (none completed)" if seconds is None else f"{seconds:.2f} s"


def rate_text(per_second: float) -> str:
    """Return a rate of jobs per second, or per hour where that would round to nothing."""
    return f"{per_second:.1f} jobs/s" if per_second >= 0.1 else f"{per_second * 3_600:.3g} jobs/h"  # noqa: PLR2004 - one digit
