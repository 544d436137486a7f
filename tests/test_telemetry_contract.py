"""Telemetry of a run, compared with the telemetry contract: every series and span is declared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from reelbench.monitoring.contract import PLACES, load_instruments, load_spans
from reelbench.stack.prometheus import PrometheusBinary
from reelbench.stack.reopen_tsdb import reopen_tsdb
from tests.acceptance import SuiteRun, needs

pytestmark = [pytest.mark.acceptance, needs("single_request", "tts_failures", "job_cancellation")]
KINDS = {1: "internal", 2: "server", 3: "client"}
TARGET_LABELS = {"job", "instance", "le", "__name__"}
SCOPE_LABELS = "otel_scope_"
OTHERS = ("up", "target_info", "scrape_", "python_", "process_")
"""Of Prometheus, and of the exporter of Python; of the process the declared ones are ours."""


def series(url: str, run: SuiteRun) -> list[dict[str, str]]:
    """All series of the run, by their labels."""
    asked: dict[str, Any] = {
        "match[]": '{__name__=~".+"}',
        "start": run.record.started - 60,
        "end": (run.record.ended or 0) + 60,
    }
    found: list[dict[str, str]] = requests.get(f"{url}/api/v1/series", params=asked, timeout=30).json()["data"]
    return found


def strangers(found: Sequence[dict[str, str]]) -> Iterator[str]:
    """One line for each series that is not as declared."""
    by_name = {name: one for one in load_instruments() for name in one.series}
    for labels in found:
        name, job = labels["__name__"], labels.get("job")
        one = by_name.get(name)
        if one is None:
            if not name.startswith(OTHERS):
                yield f"{name}: is not declared"
            continue
        own = {label for label in labels if label not in TARGET_LABELS and not label.startswith(SCOPE_LABELS)}
        may = {attribute.name.replace(".", "_"): attribute for attribute in one.metric.attributes}
        must = {label for label, attribute in may.items() if attribute.required}
        # An empty value, such as the place of a warm-up job, is no label in Prometheus.
        if job not in one.components or not must - set(PLACES) <= own <= set(may):
            yield f"{name} of {job}: has {sorted(own)}, declared for {one.components} with {sorted(may)}"
            continue
        for label in own:
            values = may[label].values
            if values and labels[label] not in values:
                yield f"{name}: {label} is {labels[label]!r}, declared are {values}"


def odd_spans(component: str, lines: Sequence[str]) -> Iterator[str]:
    """One line for each span that is not as declared; `lines` are those of the trace exporter."""
    declared = load_spans()
    events = {event.name: event for event in declared.events}
    scopes = [scope for line in lines for part in json.loads(line)["resourceSpans"] for scope in part["scopeSpans"]]
    for span in (span for scope in scopes for span in scope["spans"]):
        has = keys(span)
        fitting = [
            one
            for one in declared.spans
            if (one.component, one.kind) == (component, KINDS[span["kind"]])
            and one.matches(span["name"])
            and set(one.attributes) <= has <= {*one.attributes, *one.sometimes}
        ]
        if not fitting:
            yield f"{component}: {KINDS[span['kind']]} {span['name']} with {sorted(has)}"
            continue
        for event in span.get("events", ()):
            if event["name"] not in fitting[0].events or keys(event) != set(events[event["name"]].attributes):
                yield f"{span['name']}: event {event['name']} with {sorted(keys(event))}"


def keys(part: dict[str, Any]) -> set[str]:
    return {attribute["key"] for attribute in part.get("attributes", ())}


@pytest.fixture(scope="module")
def found(suite: SuiteRun, prometheus: PrometheusBinary) -> list[dict[str, str]]:
    """All series of the run."""
    with reopen_tsdb(suite.folder, prometheus) as url:
        return series(url, suite)


def test_every_series_of_a_run_is_declared(found: list[dict[str, str]]) -> None:
    assert {"service", "loadgen", "providers"} <= {labels.get("job") for labels in found}
    assert sorted(set(strangers(found))) == []


def test_a_classic_histogram_has_three_more_series_than_bounds(found: list[dict[str, str]]) -> None:
    """The arithmetic of docs/scaling-out.md."""
    by_name = Counter(labels["__name__"] for labels in found)
    histograms = [one for one in load_instruments() if one.metric.instrument == "histogram"]
    counted = {
        one.name: sum(by_name[name] for name in one.series) for one in histograms if by_name[f"{one.scraped}_count"]
    }
    assert len(counted) > 5
    assert counted == {
        one.name: by_name[f"{one.scraped}_count"] * (len(one.metric.bounds) + 3)
        for one in histograms
        if one.name in counted
    }


@pytest.mark.parametrize("component", ["loadgen", "service", "providers"])
def test_every_span_of_a_run_is_declared(suite: SuiteRun, component: str) -> None:
    lines = Path(suite.folder / "traces" / f"{component}.jsonl").read_text().splitlines()
    assert lines
    assert sorted(set(odd_spans(component, lines))) == []
