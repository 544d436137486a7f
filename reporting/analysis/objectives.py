"""The objectives of a run: those of the catalogue, unless the run sets its own."""

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.catalogue.sli import Catalogue, Objective, Sli


def of_run(catalogue: Catalogue, run: RunRecord) -> Catalogue:
    """Return the catalogue with the objectives by which a run is judged.

    An objective of the run (from the command line or the target file) replaces the value of the catalogue's.
    """
    return Catalogue(tuple(_judged(sli, run) for sli in catalogue.slis), catalogue.readings)


def canonical(name: str, catalogue: Catalogue) -> str | None:
    """Return the id of the indicator that has the words of a name in any order; None when there is no such one."""
    words = sorted(name.split("_"))
    return next((sli.id for sli in catalogue.slis if sorted(sli.id.split("_")) == words and sli.better), None)


def _judged(sli: Sli, run: RunRecord) -> Sli:
    value = run.objectives.get(sli.id)
    default = sli.objective
    if value is None:
        return sli
    if default is not None:
        return msgspec.structs.replace(sli, objective=_placed(default, value, run))
    if sli.direction is None:
        return sli
    return msgspec.structs.replace(sli, objective=Objective(value=value, direction=sli.direction), direction=None)


def _placed(default: Objective, value: float, run: RunRecord) -> Objective:
    """Return the objective of the catalogue with another value, judged where this run can judge it.

    Without one of the catalogue's scenarios in the run, it is judged wherever the indicator is measured; without a case
    of the catalogue's concurrency, at the highest concurrency.
    """
    ran = [scenario for scenario in run.scenarios if not default.scenarios or scenario.name in default.scenarios]
    levels = {case.concurrency for scenario in ran or run.scenarios for case in scenario.cases}
    concurrency = default.concurrency
    if concurrency is not None and concurrency not in levels:
        concurrency = max(levels, default=None)
    return msgspec.structs.replace(
        default, value=value, scenarios=default.scenarios if ran else (), concurrency=concurrency, ours=False
    )
