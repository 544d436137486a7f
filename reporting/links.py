"""Addresses inside a Grafana that shows a run."""

from __future__ import annotations

from urllib.parse import urlencode

from loadgen.record import RunRecord

LIVE_UID = "reelbench-live"
MARGIN = 10.0
"""Seconds shown before and after a run: the exports around it."""


def live_run(grafana: str, run_id: str, started: float, ended: float | None, scenario: str = "") -> str:
    """The dashboard Live run with one run chosen, and one scenario if it is named.

    `started` and `ended` are Unix times in seconds, None: up to now.
    """
    first = round((started - MARGIN) * 1000)
    last = "now" if ended is None else str(round((ended + MARGIN) * 1000))
    chosen = {"var-run_id": run_id} | ({"var-scenario": scenario} if scenario else {})
    return f"{grafana}/d/{LIVE_UID}/live-run?{urlencode(chosen | {'from': first, 'to': last})}"


def place(grafana: str | None, run: RunRecord, scenario: str = "", case: str = "") -> str | None:
    """The dashboard Live run at the time in which a number was made.

    None without a Grafana, and where a part of the run did not end, so that its time is not known.
    """
    started, ended = window(run, scenario, case)
    if grafana is None or started is None or ended is None:
        return None
    return live_run(grafana, run.run_id, started, ended, scenario)


def window(run: RunRecord, scenario: str = "", case: str = "") -> tuple[float | None, float | None]:
    """Unix times between which a case, a scenario or (without names) the run was made; None where it is not known."""
    if not scenario:
        return run.started, run.ended
    found = next((s for s in run.scenarios if s.name == scenario), None)
    if found is None or not case:
        return (found.started, found.ended) if found else (None, None)
    return next(((c.started, c.ended) for c in found.cases if c.name == case), (None, None))
