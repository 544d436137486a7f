"""What the exporters of telemetry complain about during a run, as one warning after it.

The exporters of OpenTelemetry log a line for each failed attempt, into the middle of the progress.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Self

_LOGGER: Final = "opentelemetry.exporter"
_RETRIED: Final = "Transient error"
_LOST: Final = "Failed to export"
_SPANS: Final = "spans"


class ExportTroubles(logging.Handler):
    """Counts failed exports while the context is entered; other messages of the exporters pass.

    Args:
        endpoint: Where telemetry goes, as the user may see it.
        clock: Unix time in seconds.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._clock = clock
        self._times: list[float] = []
        self._reasons: Counter[str] = Counter()
        self._lost = 0
        self._logger = logging.getLogger(_LOGGER)

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Count a failed export; write any other record to standard error."""
        if not isinstance(record.msg, str) or not record.msg.startswith((_RETRIED, _LOST)):
            if logging.lastResort is not None:
                logging.lastResort.handle(record)
            return
        self._times.append(self._clock())
        values = record.args if isinstance(record.args, tuple) else ()
        if record.msg.startswith(_LOST):
            self._lost += bool(values) and values[0] == _SPANS
        elif values:
            self._reasons[_reason(values[0])] += 1

    def warning(self) -> str | None:
        """Return what went wrong and what follows from it; None when every export arrived."""
        if not self._times:
            return None
        first, last = (time.strftime("%H:%M:%S", time.localtime(when)) for when in (min(self._times), max(self._times)))
        reasons = ", ".join(reason for reason, _ in self._reasons.most_common(2)) or "it refused the data"
        spans = f"batches of spans lost: {self._lost}, so traces have gaps" if self._lost else "no span was lost"
        return (
            f"warning: {self._endpoint} did not take telemetry from {first} to {last} ({len(self._times)} attempts: "
            f"{reasons}); {spans}; counts are totals, so the next export that arrives completes them"
        )


def _reason(cause: object) -> str:
    """Return the first cause of an error, such as Connection refused, or the reason of a status."""
    error = cause
    while isinstance(error, BaseException) and (
        deeper := getattr(error, "reason", None) or error.__cause__ or error.__context__
    ) not in {None, error}:
        error = deeper
    return str(getattr(error, "strerror", None) or error)[:80] or type(error).__name__
