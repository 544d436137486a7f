"""Annotations in Grafana: one region for each phase of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec
import requests
from grafana_client import GrafanaApi
from grafana_client.client import GrafanaException

from reelbench.loadgen.record.address import shown_url
from reelbench.stack.http import may_use_proxy

_TIMEOUT = 2.0
"""Seconds; a slow Grafana must not delay a run."""
_REASONS = {401: "it asks for a login", 403: "it accepts annotations only after a login"}


class _Created(msgspec.Struct):
    id: int


class Grafana:
    """Writes and updates annotations. The first failure causes one warning, and no further attempts are made.

    Args:
        url: Base URL.
        warn: Receives the warning.
    """

    def __init__(self, url: str, warn: Callable[[str], None]) -> None:
        self._url = url
        self._warn = warn
        # The client appends "api" to the path.
        self._api: GrafanaApi | None = GrafanaApi.from_url(f"{url.rstrip('/')}/", timeout=_TIMEOUT)
        self._api.client.s.max_redirects = 0  # redirects lead to a login
        self._api.client.s.trust_env = may_use_proxy(url)
        self._written: dict[str, tuple[int, dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def annotate(self, key: str, started: float, ended: float | None, text: str, tags: Sequence[str]) -> None:
        """Write the region `key`, or update it if it changed.

        Args:
            key: Identifies the region within its run.
            started: Unix time in seconds.
            ended: The same; None while the phase lasts, which is shown as an instant.
            text: The text of the annotation.
            tags: Tags that dashboards select annotations by.
        """
        first, last = round(started * 1000), round((started if ended is None else ended) * 1000)
        region = {"time_from": first, "time_to": last, "text": text, "tags": list(tags)}
        known = self._written.get(key)
        if self._api is None or (known and known[1] == region):
            return
        write = self._api.annotations
        try:
            if known:
                write.partial_update_annotation(known[0], **region)
            number = known[0] if known else msgspec.convert(write.add_annotation(**region), _Created).id
        except GrafanaException as error:
            self._give_up(_REASONS.get(error.status_code, f"status {error.status_code}"))
        except requests.TooManyRedirects:
            self._give_up("it asks for a login")
        except requests.Timeout:
            self._give_up("no answer in time")
        except (requests.JSONDecodeError, msgspec.ValidationError):
            self._give_up("its answer is not that of Grafana")
        except requests.RequestException:
            self._give_up("it does not answer")
        else:
            self._written[key] = (number, region)

    def _give_up(self, reason: str) -> None:
        self._warn(f"warning: no annotations in the Grafana at {shown_url(self._url)}: {reason}; the run goes on")
        self._close()

    def _close(self) -> None:
        if self._api is not None:
            self._api.client.s.close()
        self._api = None
