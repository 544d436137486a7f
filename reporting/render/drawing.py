"""Figures drawn in processes of their own, while the process that needs them does its other work.

Loading matplotlib takes about a second and a figure up to half a second, which would be most of the time of a report.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Self

from reelbench.module_process import available_cores, module_process
from reelbench.reporting.document.report import Chart, Timeline

Form = Literal["svg", "pdf"]
Drawn = Mapping[tuple[str, Form], bytes]
"""Files by the name and the form of their figure."""
_Order = tuple[list[Chart | Timeline], tuple[Form, ...]]


class Drawing:
    """Processes that load matplotlib at once and then draw what they are given.

    A process that has loaded matplotlib draws itself. The processes end when their input ends, so they do not outlive
    the one that began them.
    """

    def __init__(self, processes: int) -> None:
        """Begin processes; with 0 of them, or where matplotlib is loaded, the figures are drawn by this process."""
        count = 0 if "matplotlib" in sys.modules else processes
        self._processes = [_begin() for _ in range(count)]
        self._threads = ThreadPoolExecutor(max_workers=max(count, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; figures that were not asked for are lost."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None and not stream.closed:
                    stream.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that draw; empty where this process does."""
        return tuple(process.pid for process in self._processes)

    def draw(self, charts: Sequence[Chart | Timeline], forms: Sequence[Form]) -> Callable[[], Drawn]:
        """Begin to draw; return a function that waits for the figures, in the order of the charts.

        To be called once: each process draws one order. What a process that ended early leaves is drawn by this one.
        """
        asked: list[Future[Drawn]] = []
        for process, share in zip(self._processes, shares(charts, len(self._processes)), strict=True):
            order: _Order = share, tuple(forms)
            asked.append(self._threads.submit(_ask, process, order))

        def drawn() -> Drawn:
            if not asked:
                return draw_here(charts, forms)
            found = {key: data for part in asked for key, data in part.result().items()}
            return {(chart.name, form): found[chart.name, form] for form in forms for chart in charts}

        return drawn


def shares(charts: Sequence[Chart | Timeline], processes: int) -> list[list[Chart | Timeline]]:
    """Divide charts so that the processes draw about equally many panels, which take most of the time."""
    if not processes:
        return []
    found: list[list[Chart | Timeline]] = [[] for _ in range(processes)]
    for chart in sorted(charts, key=_panels, reverse=True):
        min(found, key=lambda share: sum(map(_panels, share))).append(chart)
    return found


def _panels(chart: Chart | Timeline) -> int:
    return max(1, len(chart.panels)) if isinstance(chart, Chart) else 2  # of a timeline: states, and events


def drawing_processes() -> int:
    """Return the number of processes that draw as fast as this machine can."""
    return min(available_cores(), 4)


def _begin() -> subprocess.Popen[bytes]:
    command, environment = module_process(__name__)
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C ends the process that needs the figures, which ends these
    )


def _ask(process: subprocess.Popen[bytes], order: _Order) -> Drawn:
    answer, _ = process.communicate(pickle.dumps(order))
    if process.returncode != 0:
        return draw_here(*order)
    found: Drawn = pickle.loads(answer)  # noqa: S301 - from a process of our own
    return found


def draw_here(charts: Sequence[Chart | Timeline], forms: Sequence[Form]) -> Drawn:
    """Draw in this process."""
    from reelbench.reporting.render import figures  # noqa: PLC0415 - matplotlib takes a second, which only charts may cost

    draw = {"svg": figures.svg, "pdf": figures.pdf}
    return {(chart.name, form): draw[form](chart) for form in forms for chart in charts}


def _main() -> None:
    """Read an order from standard input and write the figures to standard output."""
    from reelbench.reporting.render import figures  # noqa: F401, PLC0415 - loaded before the order is there

    if order := sys.stdin.buffer.read():
        sys.stdout.buffer.write(pickle.dumps(draw_here(*pickle.loads(order))))  # noqa: S301 - from a process of our own


if __name__ == "__main__":
    _main()
