"""Failed exports of telemetry: counted, and named once after the run."""

from __future__ import annotations

import logging
import socket
import time

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricsData
from requests import ConnectionError as RequestsConnectionError

from reelbench.loadgen.export_troubles import ExportTroubles
from reelbench.telemetry.set_up import direct_loopback

EXPORTER = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
AT = [1_800_000_000.0, 1_800_000_007.0, 1_800_000_009.0]


def failed() -> Exception:
    error = RequestsConnectionError("HTTPConnectionPool(host='x')")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


def test_failed_exports_are_one_warning_and_nothing_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter(AT)
    with ExportTroubles("http://collector:4318", lambda: next(times)) as troubles:
        assert troubles.warning() is None
        for _ in range(2):
            EXPORTER.warning("Transient error %s encountered while exporting %s batch, retrying", failed(), "spans")
        EXPORTER.error("Failed to export %s batch due to timeout, max retries or shutdown.", "spans")
    first, last = (time.strftime("%H:%M:%S", time.localtime(when)) for when in (AT[0], AT[2]))
    assert capsys.readouterr().err == ""
    assert troubles.warning() == (
        f"warning: http://collector:4318 did not take telemetry from {first} to {last} (3 attempts: Connection "
        "refused); batches of spans lost: 1, so traces have gaps; counts are totals, so the next export that arrives "
        "completes them"
    )


def test_other_messages_of_the_exporters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with ExportTroubles("http://collector:4318") as troubles:
        EXPORTER.warning("Header format invalid")
    assert capsys.readouterr().err == "Header format invalid\n"
    assert troubles.warning() is None


def test_the_real_exporter_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with ExportTroubles(endpoint) as troubles:
        OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=1).export(MetricsData([]))
    warning = troubles.warning()
    assert warning is not None
    assert "no span was lost" in warning
    assert "HTTPConnectionPool" not in warning + capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "upper", "lower"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1"),
        ({"https_proxy": "http://p:1", "no_proxy": "a, ::1"}, "a,::1,localhost,127.0.0.1", "a,::1,localhost,127.0.0.1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, None, None),
        ({"HTTP_PROXY": ""}, None, None),
        ({"NO_PROXY": "a"}, None, None),
    ],
)
def test_loopback_is_never_behind_a_proxy(environment: dict[str, str], upper: str | None, lower: str | None) -> None:
    found = direct_loopback(environment)
    assert (found.get("NO_PROXY"), found.get("no_proxy")) == (upper, lower)
