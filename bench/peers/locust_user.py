"""The requests of the load generator's jobs for Locust, with the settings and modes of ``k6.js``."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task
from locust.exception import StopUser

CLOSED = os.environ["MODE"] == "rate"
USERS = int(os.environ["USERS"])
PROMPT = "Explain a survey of tail latency in queueing networks for a public lecture, with calm camera moves."


class Viewer(FastHttpUser):
    """One closed loop."""

    host = os.environ["TARGET"]
    left = int(os.environ["JOBS"])
    running = USERS
    if not CLOSED:
        wait_time = constant_throughput(int(os.environ["RATE"]) / USERS)

    @task
    def job(self) -> None:
        """Run one job."""
        if CLOSED:
            if Viewer.left == 0:
                raise StopUser
            Viewer.left -= 1
        trace = f"{random.getrandbits(128):032x}"
        body = {"prompt": f"{PROMPT} {Viewer.left}", "seconds": "4", "size": "720x1280"}
        created = self.client.post("/v1/videos", json=body, headers=_headers(trace), name="create")
        if not CLOSED:
            return
        video = created.json()["id"]
        waited = self.client.get(f"/v1/videos/{video}/wait?timeout=10.000", headers=_headers(trace), name="wait")
        if waited.json()["status"] != "completed":
            raise ValueError("wait")
        content = self.client.get(f"/v1/videos/{video}/content", headers=_headers(trace), name="content")
        content.raise_for_status()

    def on_stop(self) -> None:
        """End the test with the last user."""
        Viewer.running -= 1
        if CLOSED and not Viewer.running:
            self.environment.runner.quit()


@events.quitting.add_listener
def report(environment: Any, **_: Any) -> None:
    """Write the figures."""
    total = environment.stats.total
    figures = {"requests": total.num_requests, "p95": total.get_response_time_percentile(0.95) / 1000, "dropped": 0}
    Path(os.environ["REPORT"]).write_text(json.dumps(figures), encoding="utf-8")
    if total.num_failures or environment.runner.exceptions:
        environment.process_exit_code = 1


def _headers(trace: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{random.getrandbits(64):016x}-01"}
