"""Addresses inside a Grafana that shows a run."""

from __future__ import annotations

from urllib.parse import urlencode

LIVE_UID = "reelbench-live"
MARGIN = 10.0
"""Seconds shown before and after a run: the exports around it."""


def live_run(grafana: str, run_id: str, started: float, ended: float | None) -> str:
    """The dashboard Live run with one run chosen; `started` and `ended` are Unix times in seconds, None: up to now."""
    first = round((started - MARGIN) * 1000)
    last = "now" if ended is None else str(round((ended + MARGIN) * 1000))
    chosen = urlencode({"var-run_id": run_id, "from": first, "to": last})
    return f"{grafana}/d/{LIVE_UID}/live-run?{chosen}"
