"""What the caches give: hits beside the calls that the providers did not see, time, bytes and money."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.baseline import compare
from reelbench.reporting.analysis.cost import charged
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.sections.resources.pooling import calls_of
from reelbench.reporting.statistics.intervals import Proportion, proportion, summarize

SCENARIO = "cache_efficiency"
COLD, WARM, HALF = "cold", "warm", "half_new"
CACHES = {"script": "llm", "audio": "tts", "visual": "image"}
"""The provider that each cache saves calls of."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Questions to a cache in a case, by result."""

    hits: int
    coalesced: int
    misses: int

    @property
    def questions(self) -> int:
        """All of them."""
        return self.hits + self.coalesced + self.misses

    @property
    def rate(self) -> Proportion | None:
        """Hits of all questions, Wilson interval."""
        return proportion(self.hits, self.questions)


def answers(evidence: Evidence, case: str, *caches: str) -> Answers:
    """Of some caches together; questions that were not counted are none."""
    sums = [
        round(sum(evidence.value(sli, SCENARIO, case, cache) or 0.0 for cache in caches))
        for sli in ("cache_hits", "cache_coalesced", "cache_misses")
    ]
    return Answers(*sums)


def hit_rate(evidence: Evidence) -> Proportion | None:
    """Hits of all questions in warm and half_new together: what the objective is set for."""
    found = [answers(evidence, case, *CACHES) for case in (WARM, HALF)]
    return proportion(sum(a.hits for a in found), sum(a.questions for a in found))


def section(evidence: Evidence) -> Section:
    """Hit rates and savings."""
    title = "Cache efficiency"
    found = evidence.scenario(SCENARIO)
    if found is None:
        return Section(title, not_run(SCENARIO))
    cases = [case for case in found.cases if case.started is not None]
    items = []
    together = hit_rate(evidence)
    if together:
        items.append(
            f"Hit rate in `{WARM}` and `{HALF}` together: {text.quoted(together)}; hits alone, of all questions to "
            "all caches."
        )
    for name, what in ((WARM, "Jobs with known prompts"), (HALF, "Jobs of which half have known prompts")):
        difference = compare(evidence, SCENARIO, name, COLD)
        if difference:
            items.append(difference.sentence(what, "those with new prompts"))
    blocks: list[Block] = [Bullets(tuple(items)), _rates(evidence, cases), _savings(evidence, cases)]
    return Section(title, tuple(blocks))


def _rates(evidence: Evidence, cases: list[CaseRecord]) -> Table:
    rows = []
    for case in cases:
        for cache, provider in CACHES.items():
            found = answers(evidence, case.name, cache)
            calls = len(calls_of(evidence, SCENARIO, case.name, provider)) if evidence.calls_read(SCENARIO) else None
            rows.append(
                (
                    case.name,
                    cache,
                    text.count(found.questions),
                    text.count(found.hits),
                    text.count(found.coalesced),
                    text.count(found.misses),
                    text.rate(found.rate),
                    text.count(calls),
                    text.count(None if calls is None else found.questions - calls),
                )
            )
    columns = (
        "Case", "Cache", "Questions", "Hits", "Coalesced", "Misses", "Hit % (95 % CI)", "Calls at the provider",
        "Calls saved",
    )  # fmt: skip
    caption = (
        "Questions by result as the service counts them; coalesced ones shared the call of another that was under way. "
        "Calls are counted at the provider: saved are the questions that it did not see. Retries make it see more than "
        "the misses."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _savings(evidence: Evidence, cases: list[CaseRecord]) -> Table:
    before = next((charged(evidence, SCENARIO, case) for case in cases if case.name == COLD), None)
    rows = []
    for case in cases:
        times = summarize(evidence.response_times(SCENARIO, case.name))
        providers = charged(evidence, SCENARIO, case)
        rows.append(
            (
                case.name,
                text.count(times.n if times else 0),
                text.seconds(times.average if times else None),
                text.tail(times.p95) if times else text.NONE,
                _each(evidence, "cache_io_saved", case.name, unit=1000, digits=1),
                _each(evidence, "cache_time_saved", case.name, unit=1, digits=3),
                text.money(providers),
                text.money(before - providers if before is not None and providers is not None else None),
                text.percent(1 - providers / before if before and providers is not None else None),
            )
        )
    columns = (
        "Case", "n", "Avg [s]", "P95 [s]", "Bytes saved [kB/job]", "Call time saved [s/job]", "Providers / job",
        "Saved against cold / job", "Saved %",
    )  # fmt: skip
    caption = (
        f"Money in {evidence.prices.currency} at list prices. Call time is summed over calls that run at the same "
        "time, so a job gains less. \\* n is too small for an upper limit of the 95 % interval."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _each(evidence: Evidence, sli: str, case: str, *, unit: float, digits: int) -> str:
    jobs = len(evidence.case_jobs(SCENARIO, case))
    values = [evidence.value(sli, SCENARIO, case, cache) for cache in CACHES]
    known = [value for value in values if value is not None]
    return text.number(sum(known) / jobs / unit, digits) if known and jobs else text.NONE
