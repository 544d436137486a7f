"""Every panel of every dashboard, asked by a real Grafana: data and no error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from reelbench.loadgen.record.run import read_run
from reelbench.stack import http
from tests.compose.engine import ROOT, Project
from tests.stack.full.test_boards import FIRING, QUIET, SCENARIOS

pytestmark = [pytest.mark.compose, pytest.mark.acceptance]
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))}
SHOWN = os.environ.get("REELBENCH_SCREENSHOTS")
"""Folder for pictures of the dashboards; with Chromium at CHROMIUM_BIN or on the path."""


class Shown:
    """A run of many scenarios and the Grafana that shows it."""

    def __init__(self, project: Project, run_id: str, started: float, ended: float) -> None:
        self.url = project.url("grafana")
        self.run_id = run_id
        self.started, self.ended = started, ended

    def ask(self, board: dict[str, Any], target: dict[str, Any]) -> int:
        """Return the number of series or traces for a query of a panel; an error fails the test."""
        text = json.dumps(target)
        typed = {one["name"]: one["query"] for one in board["templating"]["list"] if one["type"] == "textbox"}
        known = typed | {"datasource": "prometheus", "tempo": "tempo", "run_id": self.run_id, "scenario": ".+"}
        known |= {"__rate_interval": "20s", "__range": f"{int(self.ended - self.started) + 30}s"}
        filled = json.loads(re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], text))
        return self._search(filled["query"]) if "query" in filled else self._query(filled)

    def _query(self, target: dict[str, Any]) -> int:
        body = {
            "queries": [target | {"intervalMs": 1000, "maxDataPoints": 2000}],
            "from": str(int(self.started * 1000)),
            "to": str(int(self.ended * 1000)),
        }
        answer = requests.post(f"{self.url}/api/ds/query", json=body, timeout=30)
        assert answer.ok, f"{target['expr']}\n{answer.text}"
        found = answer.json()["results"][target["refId"]]
        assert "error" not in found, f"{target['expr']}\n{found['error']}"
        return sum(any(map(len, frame["data"]["values"])) for frame in found.get("frames", []))

    def _search(self, query: str) -> int:
        """Ask Tempo through Grafana's data source, as the panels of traces do."""
        asked = {"q": query, "start": int(self.started), "end": int(self.ended) + 1}
        over_time = "_over_time" in query
        path = (
            f"api/metrics/query_range?{urlencode(asked | {'step': '5s'})}"
            if over_time
            else f"api/search?{urlencode(asked)}"
        )
        answer = requests.get(f"{self.url}/api/datasources/proxy/uid/tempo/{path}", timeout=30)
        assert answer.ok, f"{query}\n{answer.text}"
        return len(answer.json()["series" if over_time else "traces"])


@pytest.fixture(scope="module")
def shown(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    answer = http.get(f"{project.url('grafana')}/api/dashboards/uid/reelbench-live", timeout=5)
    if not answer.ok:
        pytest.skip(f"no Grafana answers with the dashboards of this project (status {answer.status})")
    runs = tmp_path_factory.mktemp("runs")
    done = project.suite(runs, *[word for name in SCENARIOS for word in ("--scenario", name)])
    (folder,) = runs.iterdir()
    record = read_run(folder)
    assert record.ended is not None, done.stderr
    time.sleep(35)  # the rules of the objectives run every 30 s
    return Shown(project, folder.name, record.started - 10, time.time())


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_has_data_and_no_error(shown: Shown, name: str) -> None:
    board = BOARDS[name]
    provisioned = http.get(f"{shown.url}/api/dashboards/uid/{board['uid']}", timeout=10)
    assert json.loads(provisioned.body)["dashboard"]["title"] == board["title"]
    asked = {
        (name, panel["title"], target["refId"]): shown.ask(board, target)
        for panel in board["panels"]
        for target in panel.get("targets") or []
        if target.get("queryType") != "serviceMap"  # the browser asks Prometheus for it
    }
    assert asked
    empty = {key for key, count in asked.items() if not count} - {FIRING}
    assert empty <= QUIET


@pytest.mark.parametrize("name", BOARDS)
def test_a_picture_of_every_dashboard(shown: Shown, name: str) -> None:
    chromium = os.environ.get("CHROMIUM_BIN")
    if not SHOWN or not chromium:
        pytest.skip("REELBENCH_SCREENSHOTS names no folder, or CHROMIUM_BIN no browser")
    board = BOARDS[name]
    when = {"from": int(shown.started * 1000), "to": int(shown.ended * 1000), "var-run_id": shown.run_id, "kiosk": "1"}
    picture = Path(SHOWN) / f"{board['uid']}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    address = f"{shown.url}/d/{board['uid']}?{urlencode(when)}"
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1600,3000"),
            *("--timeout=20000", f"--screenshot={picture.absolute()}", address),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert picture.stat().st_size > 50_000
