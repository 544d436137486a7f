"""Which spans and exporters a process gets from its environment, and the batches between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from reelbench import HOME
from reelbench.telemetry.span_batches import SpanBatches
from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.span_pipeline import own_exporters, recordable
from reelbench.telemetry.span_text import RenderedSpans
from reelbench.telemetry.tracer import RecordingTracerProvider
from tests.reelbench.twins import Kept

FILE = "otlp_json_file"
JSON = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
PROTOBUF = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


@pytest.mark.parametrize(
    ("names", "environment", "expected"),
    [
        ([FILE], {}, True),
        (["otlp", FILE], PROTOBUF, True),
        (["otlp"], JSON, True),
        (["otlp"], PROTOBUF | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, True),
        (["otlp_proto_http"], {}, True),
        ([FILE], {"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_SDK_DISABLED": "false"}, True),
        ([FILE], {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_PYTHON_ID_GENERATOR": "random"}, True),
        (["otlp"], {}, False),
        (["otlp"], {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        (["console", FILE], {}, False),
        ([FILE], {"OTEL_TRACES_SAMPLER": "traceidratio"}, False),
        ([FILE], {"OTEL_TRACES_SAMPLER": "always_off"}, False),
        ([FILE], {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": ""}, False),
        ([FILE], {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10"}, False),
        ([FILE], {"OTEL_PYTHON_ID_GENERATOR": "xray"}, False),
        ([FILE], {"OTEL_PYTHON_TRACER_CONFIGURATOR": "mine"}, False),
        ([FILE], {"OTEL_CONFIG_FILE": "sdk.yaml"}, False),
        ([FILE], {"OTEL_SDK_DISABLED": "true"}, False),
        ([FILE], {"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "TRUE"}, False),
    ],
)
def test_spans_are_the_sdks_when_only_those_do_what_is_asked_for(
    names: list[str], environment: dict[str, str], *, expected: bool
) -> None:
    assert recordable(names, environment) is expected


def test_the_sdk_does_not_see_the_exporters_of_this_package() -> None:
    assert own_exporters(["otlp", FILE, "console"], JSON) == ("otlp", FILE)
    assert own_exporters(["otlp", FILE], PROTOBUF) == (FILE,)


SCRIPT = """
import sys
from opentelemetry import trace
from reelbench.telemetry import set_up
set_up.configure("tested")
provider = trace.get_tracer_provider()
with trace.get_tracer("t").start_as_current_span("s") as span:
    span.set_attribute("kind", type(span).__name__)
sys.stderr.write(type(provider).__module__ + " " + str(trace.get_tracer("t").start_span("x").is_recording()))
"""


@pytest.mark.extended
@pytest.mark.parametrize(
    ("environment", "provider", "kind"),
    [
        ({}, "reelbench.telemetry.tracer True", "RecordingSpan"),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "9"}, "opentelemetry.sdk.trace True", "_Span"),
        ({"OTEL_SDK_DISABLED": "true"}, "opentelemetry.sdk.trace False", None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, "opentelemetry.trace False", None),
        (
            {
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "prometheus",
                "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
            },
            "reelbench.telemetry.tracer False",
            None,
        ),
    ],
)
def test_a_process_writes_its_spans_at_its_end(environment: dict[str, str], provider: str, kind: str | None) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=clean | {"OTEL_TRACES_EXPORTER": FILE, "OTEL_SERVICE_NAME": "named"} | environment,
        cwd=HOME,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr.decode() == provider
    if kind is None:
        assert done.stdout == b""
        return
    (resource,) = json.loads(done.stdout)["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "named"}} in resource["resource"]["attributes"]
    (span,) = resource["scopeSpans"][0]["spans"]
    assert span["attributes"] == [{"key": "kind", "value": {"stringValue": kind}}]


class Gate(SpanExporter):
    """Exports when it is opened."""

    def __init__(self) -> None:
        self.opened, self.entered = Event(), Event()
        self.names: list[str] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.entered.set()
        assert self.opened.wait(10)
        self.names.extend(span.name for span in spans)
        return SpanExportResult.SUCCESS


class Rendered(RenderedSpans):
    """Spans with given texts."""

    def __init__(self, *texts: str) -> None:
        self.name, self._texts = texts[0], list(texts)

    def __len__(self) -> int:
        return len(self._texts)

    def texts(self) -> list[str]:
        return self._texts


@pytest.fixture
def short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_QUEUE_SIZE": 4, "MAX_EXPORT_BATCH_SIZE": 2, "SCHEDULE_DELAY": 60_000}.items():
        monkeypatch.setenv(f"OTEL_BSP_{name}", str(value))


@pytest.mark.usefixtures("short_queue")
def test_a_full_queue_drops_its_oldest_spans_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    batches = SpanBatches(gate)
    provider = RecordingTracerProvider(Resource({}), [batches])
    tracer = provider.get_tracer("t")
    for number in range(2):
        tracer.start_span(f"first {number}").end()
    assert gate.entered.wait(10)  # a batch is with the exporter, which hangs
    for number in range(7):
        tracer.start_span(str(number)).end()
    assert batches.dropped == 3
    assert provider.force_flush(50) is False
    gate.opened.set()
    assert provider.force_flush() is True
    assert gate.names == ["first 0", "first 1", "3", "4", "5", "6"]
    provider.shutdown()
    assert "3 spans were dropped because the queue was full; raise OTEL_BSP_MAX_QUEUE_SIZE" in caplog.text
    tracer.start_span("late").end()
    assert provider.force_flush() is False
    assert "late" not in gate.names


@pytest.mark.usefixtures("short_queue")
def test_rendered_spans_are_counted_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    batches = SpanBatches(gate)
    for number in range(2):
        batches.add(Rendered(f"first {number}"))
    assert gate.entered.wait(10)
    batches.add(Rendered("a", "b", "c"))
    for number in range(5):
        batches.add(Rendered(str(number), "more"))
    assert batches.dropped == 3 + 2
    batches.shutdown(timeout_millis=50)
    assert "5 spans were dropped because the queue was full" in caplog.text
    assert "8 spans were not exported before the process had to end" in caplog.text
    gate.opened.set()


def test_rendered_spans_stand_in_a_line_with_other_spans_of_their_resource_and_scope() -> None:
    kept = Kept()
    provider = RecordingTracerProvider(Resource({"service.name": "a"}), [kept])
    tracer, other = provider.get_tracer("t"), provider.get_tracer("other")
    tracer.start_span("first").end()
    other.start_span("second").end()
    rendered = Rendered('{"name":"third"}', '{"name":"fourth"}')
    rendered.resource = Resource({"service.name": "a"})  # equal, and not the same
    rendered.instrumentation_scope = kept.spans[0].instrumentation_scope
    (resource,) = json.loads(SpanEncoder().encode([*kept.spans, rendered]))["resourceSpans"]
    named = [(scope["scope"]["name"], [span["name"] for span in scope["spans"]]) for scope in resource["scopeSpans"]]
    assert named == [("t", ["first", "third", "fourth"]), ("other", ["second"])]


SINK = """
from opentelemetry import trace
from reelbench.telemetry import set_up
from reelbench.telemetry.span_text import RenderedSpans
set_up.configure("tested")
sink = getattr(trace.get_tracer("t"), "sink", None)
class Job(RenderedSpans):
    def __len__(self): return 1
    def texts(self): return ['{"name":"rendered"}']
if sink:
    job = Job()
    job.resource, job.instrumentation_scope = sink.resource, sink.scope
    sink.add(job)
else:
    print("no sink")
"""


@pytest.mark.extended
@pytest.mark.parametrize(
    ("environment", "lines"),
    [
        ({"OTEL_TRACES_EXPORTER": FILE}, ["rendered"]),
        ({"OTEL_TRACES_EXPORTER": f"{FILE},{FILE}"}, ["rendered", "rendered"]),
        ({"OTEL_TRACES_EXPORTER": f"{FILE},otlp_proto_http"}, []),
        ({"OTEL_TRACES_EXPORTER": FILE, "OTEL_SPAN_EVENT_COUNT_LIMIT": "9"}, []),
    ],
)
def test_spans_are_rendered_when_every_exporter_writes_json(environment: dict[str, str], lines: list[str]) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    command = [sys.executable, "-c", SINK]
    done = subprocess.run(command, env=clean | environment, cwd=HOME, capture_output=True, check=True, timeout=60)
    if not lines:
        assert done.stdout == b"no sink\n"
        return
    found = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0] for line in done.stdout.splitlines()]
    assert [scope["spans"] for scope in found] == [[{"name": name}] for name in lines]
    assert {scope["scope"]["name"] for scope in found} == {"t"}


@pytest.mark.usefixtures("short_queue")
def test_spans_that_are_left_at_the_end_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    batches = SpanBatches(gate)
    tracer = RecordingTracerProvider(Resource({}), [batches]).get_tracer("t")
    for _ in range(2):
        tracer.start_span("with the exporter").end()
    assert gate.entered.wait(10)
    tracer.start_span("queued").end()
    batches.shutdown(timeout_millis=50)
    assert "1 spans were not exported before the process had to end" in caplog.text
    gate.opened.set()


def test_two_receivers_each_get_every_span() -> None:
    gates = [Gate(), Gate()]
    provider = RecordingTracerProvider(Resource({}), [SpanBatches(gate) for gate in gates])
    tracer = provider.get_tracer("t")
    threads = [Thread(target=lambda: [tracer.start_span("s").end() for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gate in gates:
        gate.opened.set()
    provider.shutdown()
    assert [gate.names for gate in gates] == [["s"] * 200] * 2
