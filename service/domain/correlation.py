"""The run, the scenario and the case of a job, from W3C baggage."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from opentelemetry import baggage
from opentelemetry.context import Context

_log = logging.getLogger(__name__)
_VALID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_KEYS = ("run_id", "scenario", "case")


@dataclass(frozen=True, slots=True)
class Correlation:
    """Labels of job-level spans and metrics; "" where the client sent no valid value."""

    run_id: str = ""
    scenario: str = ""
    case: str = ""

    @property
    def values(self) -> tuple[str, str, str]:
        """The labels in the order of the fields."""
        return self.run_id, self.scenario, self.case

    def attributes(self) -> dict[str, str]:
        """Return the labels under the keys of spans and metrics."""
        return {"run_id": self.run_id, "scenario": self.scenario, "case": self.case}


NONE = Correlation()
"""Measurements of a caller whose case has no accepted job here."""
OVERFLOW = Correlation("overflow", "overflow", "overflow")
"""Measurements of jobs that were accepted while all places for cases were in use."""
PLACES = 100
"""Cases with series of their own, each up to 300 series: a page of 100 cases has 5 MB."""
AGE = 120.0
"""Seconds after its last job in which a case keeps its series, so that the last values are exported or scraped."""


class _Place:
    """A case with series of its own."""

    __slots__ = ("correlation", "ended", "held")

    def __init__(self, correlation: Correlation) -> None:
        self.correlation = correlation
        self.held = 0
        """Jobs of the case that this process runs or keeps."""
        self.ended = 0.0
        """When the last of them ended."""


class Correlations:
    """The cases that have series of their own: a bounded number, of which those that ended make room for new ones.

    Only an accepted job gives its case a place: a request that is refused, or that only reads, makes no series.

    Args:
        on_ended: Receives the cases that lost their places; their series are removed.
        on_refused: Called for each accepted job that got no place.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        on_ended: Callable[[Collection[Correlation]], None],
        on_refused: Callable[[], None],
        places: int = PLACES,
        age: float = AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_ended = on_ended
        self._on_refused = on_refused
        self._most = places
        self._age = age
        self._clock = clock
        self._places: dict[tuple[str, ...], _Place] = {}
        self._warned = False

    def __len__(self) -> int:
        return len(self._places)

    def read(self, context: Context | None = None) -> Correlation:
        """Return the case in `context` (default: the current one) if it has a place, else `NONE`."""
        sent = _sent(context)
        known = self._places.get(sent)
        if known is None:  # unusual: an invalid value, or a case without a place
            known = self._places.get(_valid(sent).values)
        return NONE if known is None else known.correlation

    def admit(self, context: Context | None = None) -> Correlation:
        """Hold a place for the case in `context`; `OVERFLOW` when all places are in use."""
        return self.hold(_valid(_sent(context)))

    def hold(self, correlation: Correlation) -> Correlation:
        """Hold the place of a case until `release`, and return the labels of its measurements."""
        if correlation in {NONE, OVERFLOW}:
            return correlation
        place = self._places.get(correlation.values)
        if place is None:
            if len(self._places) >= self._most and not self._make_room():
                self._refuse()
                return OVERFLOW
            place = self._places[correlation.values] = _Place(correlation)
        place.held += 1
        return place.correlation

    def release(self, correlation: Correlation) -> None:
        """End one hold of a case."""
        place = self._places.get(correlation.values)
        if place is not None:
            place.held -= 1
            place.ended = self._clock()

    def _make_room(self) -> bool:
        until = self._clock() - self._age
        ended = [place.correlation for place in self._places.values() if not place.held and place.ended <= until]
        for correlation in ended:
            del self._places[correlation.values]
        if ended:
            self._on_ended(ended)
            self._warned = False
        return bool(ended)

    def _refuse(self) -> None:
        self._on_refused()
        if not self._warned:
            self._warned = True
            _log.warning(
                "All %d places for cases are in use: metrics of jobs of further cases have the labels 'overflow'. A "
                "place is free again %g s after the last job of its case.",
                self._most,
                self._age,
            )


def _sent(context: Context | None) -> tuple[str, ...]:
    sent = baggage.get_all(context)
    return tuple([value if isinstance(value := sent.get(key), str) else "" for key in _KEYS])


def _valid(values: tuple[str, ...]) -> Correlation:
    return Correlation(*[value if _VALID.fullmatch(value) else "" for value in values])
