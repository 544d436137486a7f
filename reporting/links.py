"""Addresses inside a Grafana that shows a run."""

from __future__ import annotations

import json
from urllib.parse import urlencode

LIVE_UID = "reelbench-live"
MARGIN = 10.0
"""Seconds shown before and after a run: the exports around it."""
TEMPO_UID = "tempo"
"""The data source of traces, as provisioned."""


def live_run(grafana: str, run_id: str, started: float, ended: float | None) -> str:
    """The dashboard Live run with one run chosen; `started` and `ended` are Unix times in seconds, None: up to now."""
    first = round((started - MARGIN) * 1000)
    last = "now" if ended is None else str(round((ended + MARGIN) * 1000))
    chosen = urlencode({"var-run_id": run_id, "from": first, "to": last})
    return f"{grafana}/d/{LIVE_UID}/live-run?{chosen}"


def trace(grafana: str, trace_id: str, started: float, ended: float) -> str:
    """One trace in Explore; `started` and `ended` are Unix times in seconds."""
    source = {"type": "tempo", "uid": TEMPO_UID}
    query = {"refId": "A", "datasource": source, "queryType": "traceql", "query": trace_id}
    shown = {"from": str(round((started - MARGIN) * 1000)), "to": str(round((ended + MARGIN) * 1000))}
    panes = {"trace": {"datasource": TEMPO_UID, "queries": [query], "range": shown}}
    chosen = urlencode({"schemaVersion": 1, "panes": json.dumps(panes, separators=(",", ":")), "orgId": 1})
    return f"{grafana}/explore?{chosen}"
