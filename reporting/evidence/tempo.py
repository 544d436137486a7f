"""Traces in Grafana Tempo (3.x): search by run and scenario, a trace by its id, TraceQL metrics."""

from __future__ import annotations

import base64
import binascii
import math
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
import requests

from reelbench.loadgen.record.address import shown_url, with_password
from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.evidence import otlp
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.traces import ROOT_SPAN, RootKey, TraceEvidence, TraceSpan, in_order, trace_span

LIMIT = 5000
"""Traces asked for in one search. Tempo does not say that there were more: a full answer is asked again in halves."""
SETTLE_DEADLINE = 30.0
"""Seconds: Tempo cuts a trace 5 s after its last span and shows it at its next flush, 5 s later at most."""
_POLL = 1.0
_MARGIN = 60
"""Seconds of the search beyond the run's end, for spans that end after it."""
_TIMEOUT = 15.0
_AT_ONCE = 4
"""Traces fetched at the same time."""
_NOT_FOUND = 404
T = TypeVar("T")


class _MatchedSpan(msgspec.Struct):
    attributes: list[otlp.Attribute] = []


class _SpanSet(msgspec.Struct):
    spans: list[_MatchedSpan] = []


class _Found(msgspec.Struct):
    trace: str = msgspec.field(name="traceID")
    sets: list[_SpanSet] = msgspec.field(name="spanSets", default_factory=list)


class _Search(msgspec.Struct):
    traces: list[_Found] = []


class _TraceAnswer(msgspec.Struct):
    trace: otlp.Batch = msgspec.field(default_factory=otlp.Batch)


class _Series(msgspec.Struct):
    labels: list[otlp.Attribute] = []
    value: float = 0.0


class _Metrics(msgspec.Struct):
    series: list[_Series] = []


class TraceMetric(msgspec.Struct, frozen=True):
    """One series of an instant TraceQL metrics query."""

    labels: tuple[tuple[str, str], ...]
    """Label (as TraceQL writes it, such as ``span.scenario``) and value."""
    value: float


class TempoTraces:
    """The traces of one run in a Tempo. The session is an argument, so that a test can stand in for the network."""

    per_case = 20
    """Each is a request of some 20 ms."""

    def __init__(self, url: str, run: RunRecord, session: requests.Session, *, limit: int = LIMIT) -> None:
        self._url = url.rstrip("/")
        self.url = shown_url(self._url)
        self._run = run
        self._session = session
        self._limit = limit
        ends = [case.ended for scenario in run.scenarios for case in scenario.cases if case.ended is not None]
        self._window = math.floor(run.started) - 1, math.ceil(run.ended or max(ends, default=run.started)) + _MARGIN

    def gather(self, wanted: Collection[str]) -> TraceEvidence:
        """Count the root spans and fetch the wanted traces, a few at a time; says why when that breaks off.

        Raises:
            QueryError: Tempo did not answer at all.
        """
        roots = self.root_spans()
        ids = sorted(wanted)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                found = dict(zip(ids, pool.map(self.trace, ids), strict=True))
            except QueryError as error:
                pool.shutdown(cancel_futures=True)  # the others would wait for the same time-out
                return TraceEvidence(roots, absent=str(error))
        return TraceEvidence(roots, {trace: spans for trace, spans in found.items() if spans}, per_case=self.per_case)

    def root_spans(self) -> Counter[RootKey]:
        """Number of root spans for each run, scenario, case and outcome.

        Raises:
            QueryError: Tempo did not answer.
        """
        counts: Counter[RootKey] = Counter()
        for scenario in self._run.scenarios:
            counts.update(self._roots(scenario.name, *self._window).values())
        return counts

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """Return the spans of a trace (32 hexadecimal digits) by start; empty without spans.

        Raises:
            QueryError: Tempo did not answer.
        """
        answer = self._get(f"/api/v2/traces/{trace_id.lower()}", {}, _TraceAnswer, absent=_TraceAnswer())
        try:
            return in_order(
                [
                    trace_span(service, span, self._hexadecimal(span.span), self._hexadecimal(span.parent))
                    for service, span in answer.trace.spans()
                ]
            )
        except (ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise QueryError(f"{self.url} gave a span that cannot be read ({error}); is it a Tempo 3?") from error

    def metrics(self, query: str) -> tuple[TraceMetric, ...]:
        """Evaluate a TraceQL metrics query over the time of the run, one value for each series.

        Raises:
            QueryError: Tempo did not answer, or refused the query.
        """
        start, end = self._window
        answer = self._get("/api/metrics/query", {"q": query, "start": start, "end": end}, _Metrics)
        return tuple(
            TraceMetric(tuple((label.key, label.value.text()) for label in series.labels), series.value)
            for series in answer.series
        )

    def settle(
        self,
        expected: int,
        *,
        deadline: float = SETTLE_DEADLINE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> int:
        """Poll until Tempo shows `expected` root spans or the deadline passes; gives how many it shows.

        Args:
            expected: Jobs in the client's log, warm-up included: each has one root span.
            deadline: Seconds to wait at most.
            clock: Monotonic seconds.
            sleep: Waits so many seconds.

        Raises:
            QueryError: Tempo did not answer.
        """
        end = clock() + deadline
        while (found := self.root_spans().total()) < expected and clock() < end:
            sleep(_POLL)
        return found

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _roots(self, scenario: str, start: int, end: int) -> dict[str, RootKey]:
        """Root spans of a scenario by trace id, from `start` to `end` in Unix seconds."""
        condition = f'span.run_id="{self._run.run_id}" && span.scenario="{scenario}" && name="{ROOT_SPAN}"'
        query = f"{{{condition}}} | select(span.case, span.loadgen.job.outcome, span.loadgen.job.warmup)"
        parameters: dict[str, str | int] = {"q": query, "limit": self._limit, "spss": 1, "start": start, "end": end}
        found = self._get("/api/search", parameters, _Search).traces
        if len(found) >= self._limit:
            middle = (start + end) // 2
            if middle == start:
                raise QueryError(
                    f"Tempo at {self.url} found {self._limit} traces or more in one second; "
                    "lower the load of the scenario, for they cannot be counted"
                )
            # A trace on the border is in both halves, and once in the union.
            return self._roots(scenario, start, middle) | self._roots(scenario, middle, end)
        return {trace.trace.zfill(32): self._key(scenario, trace) for trace in found}  # Tempo strips leading zeros

    def _key(self, scenario: str, trace: _Found) -> RootKey:
        values = {a.key: a.value for matched in trace.sets[:1] for span in matched.spans[:1] for a in span.attributes}
        return RootKey(
            self._run.run_id,
            scenario,
            values.get("case", otlp.Value()).string,
            values.get("loadgen.job.outcome", otlp.Value()).string,
            values.get("loadgen.job.warmup", otlp.Value()).boolean,
        )

    def _hexadecimal(self, text: str) -> str:
        """Tempo writes the ids of a trace in base64, as protobuf's JSON does, where OTLP's JSON has digits."""
        try:
            return base64.b64decode(text, validate=True).hex()
        except binascii.Error as error:
            raise QueryError(f"{self.url} gave {text!r}, which is no span id; is it a Tempo 3?") from error

    def _get(self, path: str, parameters: dict[str, str | int], kind: type[T], *, absent: T | None = None) -> T:
        try:
            response = self._session.get(
                f"{self._url}{path}", params=parameters, headers={"Accept": "application/json"}, timeout=_TIMEOUT
            )
            body = response.content
        except requests.Timeout as error:
            raise QueryError(f"Tempo at {self.url} gave no answer in {_TIMEOUT:g} s to {path}") from error
        except requests.RequestException as error:
            msg = f"Tempo at {self.url} cannot be reached ({type(error).__name__}); start it, then export again"
            raise QueryError(msg) from error
        if response.status_code == _NOT_FOUND and absent is not None:
            return absent
        if not response.ok:
            said = body.decode(errors="replace").strip()[:300]
            raise QueryError(f"Tempo at {self.url} answered HTTP {response.status_code} to {path}: {said}")
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise QueryError(f"{self.url}{path} does not answer like Tempo ({error}); check the address") from error


def connect(url: str, run: RunRecord) -> TempoTraces:
    """A client for the traces of this run in the Tempo at this base URL."""
    session = requests.Session()
    session.trust_env = False  # a proxy set in the environment must not catch what goes to this machine
    return TempoTraces(with_password(url), run, session)
