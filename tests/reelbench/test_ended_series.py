"""Series that are left out of a page: a scraper still knows every total."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from reelbench.telemetry import set_up
from reelbench.telemetry.ended_series import AGE, PERIOD, SERVED, WHOLE_PAGES, WHOLE_SECONDS, EndedSeries
from reelbench.telemetry.exposition import ScrapeReader

Samples = dict[str, str]
"""Name with labels -> value, as the page has them."""
LONGEST = 3
"""Seconds between two scrapes at most."""


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """Instruments that two readers collect: one leaves out series of ended cases, the other one is the truth."""

    clock: Clock = field(default_factory=Clock)
    counted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reader = ScrapeReader(EndedSeries(self.clock))
        self.truth = ScrapeReader()
        provider = MeterProvider(metric_readers=[self.reader, self.truth], resource=Resource({"service.name": "s"}))
        meter = provider.get_meter("m")
        self.jobs = meter.create_counter("jobs")
        self.times = meter.create_histogram("time", explicit_bucket_boundaries_advisory=[0.1, 1.0])
        self.unsaved = meter.create_up_down_counter("unsaved")
        meter.create_observable_counter("calls", [self._calls])

    def _calls(self, _: object) -> list[Observation]:
        return [Observation(count, labels(case)) for case, count in self.counted.items()]

    def record(self, case: str) -> None:
        self.jobs.add(1, labels(case))
        self.times.record(0.5, labels(case))
        self.unsaved.add(1, labels(case))
        self.counted[case] = self.counted.get(case, 0) + 1

    def page(self) -> Samples:
        return parsed(self.reader)

    def all(self) -> Samples:
        return parsed(self.truth)


def labels(case: str) -> dict[str, str]:
    return {"run_id": "r", "case": case} if case else {"run_id": "", "case": ""}


def parsed(reader: ScrapeReader) -> Samples:
    text = reader.scrape(openmetrics=False).decode()
    parts = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {series: value for series, _, value in parts}


RECORDS = st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), max_size=2)
STEPS = st.tuples(
    RECORDS,
    st.integers(1, 40),  # pages until something is recorded again
    st.integers(1, 10 * LONGEST),  # tenths of a second between two pages
    st.integers(0, SERVED - 1),  # pages that do not arrive, in a row, from the change on
)


@pytest.mark.extended
@settings(deadline=None, max_examples=8)
@given(history=st.lists(STEPS, max_size=8))
def test_the_last_value_that_a_scraper_saw_is_the_total_after_every_scrape_that_succeeds(
    history: list[tuple[list[str], int, int, int]],
) -> None:
    process, seen = Process(), Samples()
    for cases, pages, gap, lost in history:
        for case in cases:
            process.record(case)
        for number in range(lost + pages):
            process.clock.now += gap / 10
            page = process.page()
            if number >= lost:
                seen |= page
                assert seen == process.all()


@settings(deadline=None, max_examples=8)
@given(before=st.integers(0, 150), lost=st.integers(SERVED, 200), cases=st.lists(st.sampled_from("abc"), min_size=1))
def test_after_any_number_of_lost_scrapes_one_period_of_successes_restores_every_total(
    before: int, lost: int, cases: list[str]
) -> None:
    process, seen = Process(), Samples()
    for _ in range(before):
        process.clock.now += 1.0
        process.page()
    for case in cases:
        process.record(case)
    for _ in range(lost):
        process.clock.now += 1.0
        process.page()
    for _ in range(int(PERIOD) + 1):
        process.clock.now += 1.0
        seen |= process.page()
    assert seen == process.all()


TOTAL = 'jobs_total{case="a",otel_scope_name="m",otel_scope_schema_url="",otel_scope_version="",run_id="r"}'


def test_an_unchanged_total_of_a_case_is_left_out_after_some_pages_and_returns_whole() -> None:
    process = Process()
    process.record("a")
    process.record("")
    on_page = []
    for _ in range(2 * int(PERIOD)):
        process.clock.now += 1.0
        on_page.append(TOTAL in process.page())
    # The second period begins at 60 s with whole pages, the third one at 120 s.
    left_out = [number for number, there in enumerate(on_page, 1) if not there]
    first, second = range(SERVED + 1, int(PERIOD)), range(int(PERIOD) + WHOLE_PAGES, 2 * int(PERIOD))
    assert left_out == [*first, *second]
    for _ in range(WHOLE_PAGES):
        process.page()
    process.clock.now += WHOLE_SECONDS
    missing = set(process.all()) - set(process.page())
    assert {series.partition("{")[0] for series in missing} == {
        "jobs_total",
        "calls_total",
        "time_bucket",
        "time_count",
        "time_sum",
    }
    assert all('case="a"' in series for series in missing)
    process.record("a")
    page = process.page()
    assert (page, page[TOTAL]) == (process.all(), "2.0")


def test_a_total_of_zero_leaves_too_and_returns_with_its_first_event() -> None:
    process = Process()
    process.jobs.add(0, labels("a"))
    for _ in range(SERVED):
        process.clock.now += 1.0
        assert process.page()[TOTAL] == "0.0"
    process.clock.now += 1.0
    assert TOTAL not in process.page()
    process.record("a")
    process.clock.now += 1.0
    assert process.page()[TOTAL] == "1.0"


def test_without_the_rule_nothing_is_left_out() -> None:
    process = Process()
    process.record("a")
    first = process.all()
    for _ in range(200):
        process.clock.now += 1.0
        assert process.all() == first


@pytest.mark.parametrize(("pages", "seconds"), [(SERVED - 1, AGE * 3), (SERVED * 2, AGE - 1)])
def test_few_pages_or_a_short_time_leave_nothing_out(pages: int, seconds: float) -> None:
    process = Process()
    process.record("a")
    for _ in range(pages):
        process.clock.now += seconds / pages
        assert process.page() == process.all()


def test_an_unknown_choice_of_series_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELBENCH_SCRAPED_SERIES", "few")
    with pytest.raises(ValueError, match=r"^REELBENCH_SCRAPED_SERIES is 'few', use all or recent$"):
        set_up._serve_metrics()
