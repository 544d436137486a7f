"""Counters for what happens at every provider call.

An addition to a counter of the SDK takes about 8 us, half a millisecond for the calls of one job; here it is the
update of a dictionary, which the SDK reads when it collects. There are no exemplars.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from reelbench.service.domain.correlation import Correlation


class Tally:
    """A counter with the attributes `keys` and those of the correlation; add from one thread only."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._totals: dict[tuple[tuple[str, ...], Correlation], float] = {}
        meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, amount: float, values: tuple[str, ...], correlation: Correlation) -> None:
        """Add `amount`; `values` are those of the keys, in their order."""
        place = values, correlation
        self._totals[place] = self._totals.get(place, 0) + amount

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        # Copied in one step, as the event loop may add a place meanwhile.
        for (values, correlation), total in list(self._totals.items()):
            yield Observation(total, {**dict(zip(self._keys, values, strict=True)), **correlation.attributes()})
