"""Fake control endpoints of a service and its providers, with a log and configurable answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

OK = 200
CLEAN = {"object": "state", "live": 0, "unsaved": 0, "orphans": 0, "missing": 0, "store": "up", "switches": {}}


@dataclass
class FakeControls:
    offered: bool = True
    refuse: dict[str, list[int]] = field(default_factory=dict)
    """Status codes that a method of /faults answers with first, before it works."""
    plans: list[dict[str, Any] | None] = field(default_factory=list)
    """Every plan put, None for each lifting."""
    seen: int = 10
    hit: int = 3
    calls: list[dict[str, Any]] = field(default_factory=list)
    breakers: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    """Answers of the state endpoint in turn, the last one repeated; a number is an error status."""

    switches: dict[str, bool] = field(default_factory=lambda: {"cache": True, "pooling": True, "retries": False})
    switched: list[dict[str, bool]] = field(default_factory=list)
    """Every change of switches that was asked for."""
    refuse_switches: list[int] = field(default_factory=list)
    """Status codes that changes of switches are answered with first; 200 is one that is not made, 0 one that is."""

    instances: list[str] = field(default_factory=lambda: ["one"])
    """Processes behind the address, which answer in turn."""

    ahead: float = 0.0
    """Seconds by which the clock of the service and its providers is ahead."""

    @property
    def in_force(self) -> dict[str, Any] | None:
        return self.plans[-1] if self.plans else None

    def add_to(self, app: web.Application) -> None:
        if not self.offered:
            return
        app.router.add_route("*", "/faults", self._faults)
        app.router.add_get("/faults/calls", self._calls)
        app.router.add_get("/v1/admin/breakers", self._breakers)
        app.router.add_get("/v1/admin/settings", self._running)
        app.router.add_get("/settings", self._running)
        app.router.add_get("/v1/admin/state", self._state)
        app.router.add_route("*", "/v1/admin/switches", self._switches)

    async def _faults(self, request: web.Request) -> web.Response:
        if self.refuse.get(request.method):
            return _refused(self.refuse[request.method].pop(0))
        before = self._rules()
        if request.method == "PUT":
            self.plans.append(await request.json())
        if request.method == "DELETE":
            self.plans.append(None)
        rules = before if request.method == "DELETE" else self._rules()
        return web.json_response({"seed": 0, "rules": rules, "calls": {}})

    def _rules(self) -> list[dict[str, Any]]:
        plan = self.in_force
        return [{**rule, "seen": self.seen, "hit": self.hit} for rule in plan["rules"]] if plan else []

    async def _calls(self, request: web.Request) -> web.Response:
        wanted, since = request.query["provider"], float(request.query["since"])
        return web.json_response(
            {"calls": [call for call in self.calls if call["provider"] == wanted and call["arrived"] >= since]}
        )

    async def _breakers(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": self.breakers})

    async def _running(self, request: web.Request) -> web.Response:
        name = "service" if request.path.startswith("/v1") else "providers"
        now = time.time() + self.ahead
        self.instances.append(instance := self.instances.pop(0))
        answer = {"name": name, "settings": {"SEED": "1"}, "changed": [], "time": now, "instance": instance}
        return web.json_response(answer)

    async def _state(self, _request: web.Request) -> web.Response:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0] if self.states else CLEAN
        return _refused(int(str(state["refused"]))) if "refused" in state else web.json_response(CLEAN | state)

    async def _switches(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            self.switched.append(await request.json())
            status = self.refuse_switches.pop(0) if self.refuse_switches else 0
            if status > OK:
                return _refused(status)
            if not status:
                self.switches |= self.switched[-1]
        return web.json_response({"object": "switches", "switches": self.switches})


def _refused(status: int) -> web.Response:
    body = {"error": {"message": "not now", "type": "error", "param": None, "code": None}}
    return web.json_response(body, status=status)
