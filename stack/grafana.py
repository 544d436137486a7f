"""A Grafana that shows what a run is doing: one region for each thing that has a beginning and an end.

Two requests of its API by `requests`, and not grafana-client: that one needs niquests, whose urllib3-future takes the
place of the urllib3 on which every query to Prometheus runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import requests

_TIMEOUT = 2.0
"""Seconds; the run waits for no picture of itself."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_REASONS = {
    301: "it asks for a login",
    302: "it asks for a login",
    401: "it asks for a login",
    403: "it lets nobody write annotations without a login",
}


class _Created(msgspec.Struct):
    id: int


class Grafana:
    """Writes annotations and keeps them up to date. The first failure is one warning, and the last attempt.

    Args:
        url: Base URL.
        warn: Gets the warning.
    """

    def __init__(self, url: str, warn: Callable[[str], None]) -> None:
        self._url = url
        self._warn = warn
        self._session: requests.Session | None = requests.Session()
        # A proxy set for the world must not see loopback traffic.
        self._session.trust_env = urlsplit(url).hostname not in _LOOPBACK
        self._written: dict[str, tuple[int, dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def annotate(self, key: str, started: float, ended: float | None, text: str, tags: Sequence[str]) -> None:
        """Write the region `key`, or bring it up to date if it changed.

        Args:
            key: Tells the regions of one run apart.
            started: Unix time in seconds.
            ended: The same; None while it goes on, which is shown as an instant.
            text: What is shown.
            tags: What dashboards choose by.
        """
        first, last = round(started * 1000), round((started if ended is None else ended) * 1000)
        body = {"time": first, "timeEnd": last, "text": text, "tags": list(tags)}
        known = self._written.get(key)
        if self._session is None or (known and known[1] == body):
            return
        method, path = ("PATCH", f"/api/annotations/{known[0]}") if known else ("POST", "/api/annotations")
        try:
            answer = self._session.request(
                method, f"{self._url}{path}", json=body, timeout=_TIMEOUT, allow_redirects=False
            )
            if answer.status_code != requests.codes.ok:
                self._give_up(_REASONS.get(answer.status_code, f"status {answer.status_code}"))
                return
            number = known[0] if known else msgspec.json.decode(answer.content, type=_Created).id
        except requests.RequestException as error:
            self._give_up("it does not answer" if not isinstance(error, requests.Timeout) else "no answer in time")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._give_up("its answer is not Grafana's")
        else:
            self._written[key] = (number, body)

    def _give_up(self, reason: str) -> None:
        self._warn(f"warning: no annotations in the Grafana at {self._url}: {reason}; the run goes on")
        self._close()

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
