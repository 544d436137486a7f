"""The dashboards against Grafana's own schema: its SDK, made from Grafana's definitions, reads them without a loss."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from reelbench.monitoring.dashboards import dashboards
from reelbench.monitoring.grafana import to_json
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load

with warnings.catch_warnings():  # it prefers the second form, which files cannot provision for certain
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import dashboard as schema

BOARDS = dashboards(load(), load_prices())


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    """Panels and queries have definitions of their own."""
    register_default_plugins()


def read_back(raw: dict[str, Any]) -> dict[str, Any]:
    """What the SDK knows of a dashboard; it leaves out what Grafana does not define, and fills in defaults."""
    return json.loads(JSONEncoder(sort_keys=True).encode(schema.Dashboard.from_json(raw)))


def lost(written: Any, read: Any, place: str = "") -> list[str]:
    """Places of what was written and is not there, or is something else."""
    if isinstance(written, dict) and isinstance(read, dict):
        gone = [f"{place}.{key}" for key in written if key not in read]
        return gone + [p for key in written if key in read for p in lost(written[key], read[key], f"{place}.{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = enumerate(zip(written, read, strict=True))
        return [p for number, (one, other) in pairs for p in lost(one, other, f"{place}.{number}")]
    return [] if written == read else [place]


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_defines_every_field_that_a_dashboard_has(name: str) -> None:
    raw = json.loads(to_json(BOARDS[name]))
    assert lost(raw, read_back(raw)) == []


def test_a_field_that_grafana_does_not_define_is_found_at_any_depth() -> None:
    raw = json.loads(to_json(BOARDS["live.json"]))
    panel = raw["panels"][1]
    for place in (raw, panel, panel["options"], panel["options"]["reduceOptions"], panel["targets"][0]):
        place["stranger"] = 1
    panel["fieldConfig"]["defaults"]["uint"] = "s"
    raw["templating"]["list"][2]["query"] = 5
    assert sorted(lost(raw, read_back(raw))) == [
        ".panels.1.fieldConfig.defaults.uint",
        ".panels.1.options.reduceOptions.stranger",
        ".panels.1.options.stranger",
        ".panels.1.stranger",
        ".panels.1.targets.0.stranger",
        ".stranger",
    ]
