"""Addresses inside a Grafana that shows a run."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from urllib.parse import urlencode

from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.evidence.evidence import Place

TAG = "reelbench"
"""On every annotation and every dashboard of this project."""
LIVE_UID, RELIABILITY_UID, RESOURCES_UID = "reelbench-live", "reelbench-reliability", "reelbench-resources"
TRACES_UID = "reelbench-traces"
BOARDS = {"performance": LIVE_UID, "every": LIVE_UID, "reliability": RELIABILITY_UID, "resources": RESOURCES_UID}
"""The dashboard that shows the objectives of a dimension."""
MARGIN = 10.0
"""Seconds shown before and after a run: the exports around it."""
TEMPO_UID = "tempo"
"""The data source of traces, as provisioned."""


_PANEL_IDS = 1_000_000


def live_run(grafana: str, run_id: str, started: float, ended: float | None) -> str:
    """The dashboard Live run with one run chosen; `started` and `ended` are Unix times in seconds, None: up to now."""
    return _address(grafana, f"{LIVE_UID}/live-run", {"var-run_id": run_id}, started, ended)


def place(grafana: str | None, run: RunRecord, scenario: str = "", case: str = "") -> str | None:
    """The dashboard Live run at the time in which a number was made.

    None without a Grafana, and where a part of the run did not end, so that its time is not known.
    """
    return _at(grafana, f"{LIVE_UID}/live-run", run, (scenario, case), {})


def panel(grafana: str | None, sli: Sli, run: RunRecord, scenario: str = "", case: str = "") -> str | None:
    """The one panel that shows an objective of the catalogue, at that time; None as for a place, or without a panel."""
    if sli.objective is None or not sli.watchable:
        return None
    shown = {"viewPanel": str(panel_id(panel_title(sli)))}
    return _at(grafana, BOARDS[sli.dimension], run, (scenario, case), shown)


def panel_title(sli: Sli) -> str:
    """Return the title of the panel that shows an objective."""
    return f"{sli.title}, worst place"


def panel_id(title: str) -> int:
    """Return the id of a panel, which depends on its title alone, so that links to the panel keep."""
    return zlib.crc32(title.encode()) % _PANEL_IDS + 1


def window(run: RunRecord, scenario: str = "", case: str = "") -> tuple[float | None, float | None]:
    """Unix times between which a case, a scenario or (without names) the run was made; None where it is not known."""
    if not scenario:
        return run.started, run.ended
    found = next((s for s in run.scenarios if s.name == scenario), None)
    if found is None or not case:
        return (found.started, found.ended) if found else (None, None)
    return next(((c.started, c.ended) for c in found.cases if c.name == case), (None, None))


def _at(grafana: str | None, board: str, run: RunRecord, part: Place, more: Mapping[str, str]) -> str | None:
    started, ended = window(run, *part)
    if grafana is None or started is None or ended is None:
        return None
    chosen = {"var-run_id": run.run_id} | ({"var-scenario": part[0]} if part[0] else {})
    return _address(grafana, board, {**chosen, **more}, started, ended)


def _address(grafana: str, board: str, chosen: Mapping[str, str], started: float, ended: float | None) -> str:
    first = round((started - MARGIN) * 1000)
    last = "now" if ended is None else str(round((ended + MARGIN) * 1000))
    return f"{grafana}/d/{board}?{urlencode({**chosen, 'from': first, 'to': last})}"


def trace(grafana: str, trace_id: str, started: float, ended: float) -> str:
    """One trace in Explore; `started` and `ended` are Unix times in seconds."""
    source = {"type": "tempo", "uid": TEMPO_UID}
    query = {"refId": "A", "datasource": source, "queryType": "traceql", "query": trace_id}
    shown = {"from": str(round((started - MARGIN) * 1000)), "to": str(round((ended + MARGIN) * 1000))}
    panes = {"trace": {"datasource": TEMPO_UID, "queries": [query], "range": shown}}
    chosen = urlencode({"schemaVersion": 1, "panes": json.dumps(panes, separators=(",", ":")), "orgId": 1})
    return f"{grafana}/explore?{chosen}"
