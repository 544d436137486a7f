"""The interface of a stack, embedded or external."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from reelbench.stack.await_telemetry import TelemetryEnd
from reelbench.stack.processes import Child


class Stack(Protocol):
    """A service under test and its Prometheus, which are available inside the context."""

    @property
    def target(self) -> str:
        """Base URL of the service under test."""

    @property
    def providers(self) -> str | None:
        """Base URL of the mock providers; None when they are not known."""

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""

    @property
    def grafana_url(self) -> str | None:
        """Base URL of Grafana; None without Grafana."""

    def start_loadgen(self, arguments: Sequence[str]) -> Child:
        """Start ``python -m reelbench.loadgen`` with these arguments, in a session of its own."""

    def await_telemetry(self, after: float) -> TelemetryEnd:
        """Wait until Prometheus has metrics of every component from after that Unix time, and record the result."""

    def troubles(self) -> list[str]:
        """Return what went wrong in the stack, one line each."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
