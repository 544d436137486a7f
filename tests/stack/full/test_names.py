"""The names of the telemetry contract, as the pinned Prometheus derives them from OTLP."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from reelbench.monitoring.contract import Instrument, load_instruments
from reelbench.stack.prometheus import PrometheusBinary
from reelbench.stack.tools import Tools
from tests.reporting.served import serving

pytestmark = pytest.mark.acceptance


def push(url: str, declared: tuple[Instrument, ...]) -> None:
    """One value of each instrument, with classic buckets."""
    exporter = OTLPMetricExporter(endpoint=f"{url}/api/v1/otlp/v1/metrics")
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
    meter = provider.get_meter("names")
    for one in declared:
        unit = one.metric.unit
        match one.metric.instrument:
            case "counter":
                meter.create_counter(one.name, unit).add(1)
            case "histogram":
                meter.create_histogram(one.name, unit).record(1)
            case "gauge":
                meter.create_observable_gauge(one.name, [lambda _: [Observation(1)]], unit)
            case "updowncounter":
                meter.create_up_down_counter(one.name, unit).add(1)
    assert provider.force_flush()
    provider.shutdown()


@pytest.mark.extended
def test_every_instrument_has_the_declared_name_by_otlp(tools: Tools, tmp_path: Path) -> None:
    declared = load_instruments()
    binary = PrometheusBinary(tools.prometheus, "3.0.0", "tools")
    with serving(binary, tmp_path, "--web.enable-otlp-receiver") as url:
        push(url, declared)
        found = requests.get(f"{url}/api/v1/label/__name__/values", timeout=10).json()["data"]
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    expected = {f"{one.pushed}{part}" for one in declared for part in parts.get(one.metric.instrument, ("",))}
    assert set(found) - {"target_info"} == expected
