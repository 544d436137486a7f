"""What was measured of a run before: a later answer of Prometheus never replaces it where that answer is weaker."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE
from reelbench.reporting.evidence.measurements import RECORDS, Measurement, Measurements, SampleSeries


class Stronger(msgspec.Struct, frozen=True):
    """Measurements with the kept values, and why the kept ones were taken."""

    measurements: Measurements
    why: str


def stronger(kept: Measurements | None, found: Measurements) -> Stronger | None:
    """Return the kept measurements where Prometheus has lost something since; None: what it answers now is as good.

    All values of one evaluation belong together, so the kept ones replace all answers, and only what was not asked
    before is taken from now.
    """
    if kept is None or not kept.prometheus:
        return None
    before = {_key(m): m for m in kept.measurements if m.source != RECORDS}
    lost = sum(_lost(before[_key(m)], m) for m in found.measurements if _key(m) in before)
    samples = {_of(series): series for series in found.series}
    fewer = sum(_shorter(series, samples.get(_of(series))) for series in kept.series)
    if not lost and not fewer:
        return None
    known = sum(m.value is not None for m in before.values())
    what = [f"{lost} of {known} values"] if lost else []
    what += [f"samples of {fewer} of {len(kept.series)} series"] if fewer else []
    why = (
        f"Prometheus no longer has {' and '.join(what)} that {MEASUREMENTS_FILE} has: the kept measurements are used. "
        f"To measure anew, remove {MEASUREMENTS_FILE}"
    )
    measurements = tuple(before.get(_key(m), m) for m in found.measurements)
    series = _with_new(kept.series, found.series)
    return Stronger(msgspec.structs.replace(found, measurements=measurements, series=series), why)


def _lost(before: Measurement, now: Measurement) -> bool:
    """Return whether a value is gone, or rests on a smaller sample."""
    if before.value is None or now.query != before.query:
        return False
    smaller = before.n is not None and now.n is not None and now.n < before.n
    return now.value is None or smaller


def _shorter(before: SampleSeries, now: SampleSeries | None) -> bool:
    return now is None or (now.query == before.query and len(now.times) < len(before.times))


def _key(m: Measurement) -> tuple[str, str, str, str]:
    return m.sli, m.scenario, m.case, m.member


def _of(series: SampleSeries) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    return series.reading, series.scenario, series.case, tuple(sorted(series.labels.items()))


def _with_new(kept: Sequence[SampleSeries], found: Sequence[SampleSeries]) -> tuple[SampleSeries, ...]:
    known = {_of(series) for series in kept}
    return (*kept, *(series for series in found if _of(series) not in known))
