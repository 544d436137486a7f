"""From ended spans to their receivers, as ``OTEL_*`` says: which exporters, and whose spans.

Spans are `RecordingSpan` unless a variable asks for what only the SDK's own spans can do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import get_tracer_provider, set_tracer_provider

from reelbench.telemetry.span_batches import SpanBatches
from reelbench.telemetry.span_text import RenderedSpans
from reelbench.telemetry.tracer import RecordingTracerProvider

SPAN_FILE = "otlp_json_file"
"""Exporter that this package replaces by a faster one with the same output."""
_OTLP, _OTLP_HTTP = "otlp", "otlp_proto_http"
_JSON, _PROTOBUF = "http/json", "http/protobuf"
_SAMPLERS = {"": True, "parentbased_always_on": True, "always_on": False}
"""Samplers of recording spans, and whether each of them heeds the parent."""
_SDK_ALONE = ("OTEL_CONFIG_FILE", "OTEL_PYTHON_TRACER_CONFIGURATOR")
_SDK_IF_TRUE = ("OTEL_SDK_DISABLED", "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")


def own_exporters(names: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of exporters that the SDK's configurator must not see, because this package has them."""
    return tuple(name for name in names if name == SPAN_FILE or (name == _OTLP and _protocol(environment) == _JSON))


def recordable(names: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether `RecordingSpan` does all that the environment asks for."""
    known = {SPAN_FILE, _OTLP_HTTP} | ({_OTLP} if _protocol(environment) in {_JSON, _PROTOBUF} else set())
    return (
        known.issuperset(names)
        and _sampler(environment) in _SAMPLERS
        and environment.get("OTEL_PYTHON_ID_GENERATOR", "random").strip() in {"", "random"}
        and not any(environment.get(name) for name in _SDK_ALONE)
        and not any(environment.get(name, "").strip().lower() == "true" for name in _SDK_IF_TRUE)
        # An empty limit is none, so its presence counts.
        and not any(name.startswith("OTEL_") and name.endswith("_LIMIT") for name in environment)
    )


@contextmanager
def recording(names: Sequence[str], resource: Resource, environment: Mapping[str, str]) -> Iterator[None]:
    """Make recording spans those of the process; inside, the SDK's configurator keeps its own provider to itself."""
    batches = [SpanBatches(_exporter(name, environment)) for name in names]
    heeds_parent = _SAMPLERS[_sampler(environment)]

    def add_to_all(spans: RenderedSpans) -> None:
        for each in batches:
            each.add(spans)

    all_json = bool(names) and own_exporters(names, environment) == tuple(names)
    add = None if not all_json else batches[0].add if len(batches) == 1 else add_to_all
    set_tracer_provider(RecordingTracerProvider(resource, batches, heeds_parent=heeds_parent, add_rendered=add))
    log = logging.getLogger("opentelemetry.trace")
    log.addFilter(_is_no_second_provider)
    try:
        yield
    finally:
        log.removeFilter(_is_no_second_provider)


def add_exporters(names: Sequence[str], environment: Mapping[str, str]) -> None:
    """Add exporters of this package to the SDK's provider."""
    provider = get_tracer_provider()
    if isinstance(provider, TracerProvider):  # not with OTEL_SDK_DISABLED
        for name in names:
            provider.add_span_processor(SpanBatches(_exporter(name, environment)))


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    # Each is imported where it is used: the exporter to files does without requests.
    if name == SPAN_FILE:
        from reelbench.telemetry.span_file import SpanFileExporter  # noqa: PLC0415

        return SpanFileExporter()
    if name == _OTLP and _protocol(environment) == _JSON:
        from reelbench.telemetry.span_http import SpanHttpExporter  # noqa: PLC0415

        return SpanHttpExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter()


def _protocol(environment: Mapping[str, str]) -> str:
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    return next((value for name in names if (value := environment.get(name, ""))), "").strip()


def _sampler(environment: Mapping[str, str]) -> str:
    return environment.get("OTEL_TRACES_SAMPLER", "").strip()


def _is_no_second_provider(record: logging.LogRecord) -> bool:
    return "Overriding of current TracerProvider" not in record.getMessage()
