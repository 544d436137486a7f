"""Caches: hit rates, and the calls, time, bytes and money they save."""

from __future__ import annotations

import msgspec

from reelbench.reporting.analysis.cost import charged
from reelbench.reporting.analysis.subjects import Subject
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.resources.optimizations import cache_effects, cached, calls_of, sentence
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion, summarize

CACHES = {"script": "llm", "audio": "tts", "visual": "image"}
"""The provider that each cache saves calls of."""
WORDS = {"repeated": "Jobs with known prompts", "half_new": "Jobs of which half have known prompts"}


class Lookups(msgspec.Struct, frozen=True):
    """Look-ups of a case in the caches, by result."""

    hits: int
    coalesced: int
    misses: int

    @property
    def total(self) -> int:
        """All look-ups."""
        return self.hits + self.coalesced + self.misses

    @property
    def rate(self) -> Proportion | None:
        """Hits of all look-ups."""
        return exact_proportion(self.hits, self.total)


def lookups(evidence: Evidence, scenario: str, case: str, *caches: str) -> Lookups | None:
    """Return the look-ups in some caches together; None when none was counted."""
    counts = [
        [evidence.value(sli, scenario, case, cache) for cache in caches]
        for sli in (Role.CACHE_HITS, Role.CACHE_COALESCED, Role.CACHE_MISSES)
    ]
    if all(value is None for values in counts for value in values):
        return None
    return Lookups(*(round(sum(value or 0.0 for value in values)) for values in counts))


def hit_rate(evidence: Evidence) -> Proportion | None:
    """Return the hits of all look-ups in the cases with known prompts: the objective is set for them."""
    found = cached(evidence)
    cases = found.cases[1:] if found else ()
    counts = [known for case in cases if found and (known := lookups(evidence, found.name, case.name, *CACHES))]
    return exact_proportion(sum(known.hits for known in counts), sum(known.total for known in counts))


def section(evidence: Evidence) -> Section:
    """Return hit rates and savings."""
    title = "Cache efficiency"
    found = cached(evidence)
    if found is None:
        return Section(title, (Paragraph("No scenario of this run repeats prompts or toggles the caches."),))
    items = []
    if together := hit_rate(evidence):
        cases = text.listed([f"`{case.name}`" for case in found.cases[1:]])
        items.append(f"Hit rate in {cases}: {text.by_design(together)}; hits of all look-ups in all caches.")
    prompts = {case.name: case.prompts for case in found.cases}
    items += [
        sentence(difference, WORDS.get(prompts[case], "Jobs with the caches on"), f"those of `{found.case.name}`")
        for case, difference in cache_effects(evidence)
    ]
    return Section(title, (Bullets(tuple(items)), _rates(evidence, found), _savings(evidence, found)))


def _rates(evidence: Evidence, found: Subject) -> Table:
    rows = []
    for case in found.cases:
        for cache, provider in CACHES.items():
            known = lookups(evidence, found.name, case.name, cache)
            read = evidence.calls_read(found.name)
            calls = len(calls_of(evidence, found.name, case.name, provider)) if read else None
            rows.append(
                (
                    case.name,
                    cache,
                    *map(text.count, (known.total, known.hits, known.coalesced, known.misses) if known else [None] * 4),
                    text.percent(known.rate.value if known and known.rate else None),
                    text.count(calls),
                    text.count(known.total - calls if known and calls is not None else None),
                )
            )
    columns = (
        "Case", "Cache", "Look-ups", "Hits", "Coalesced", "Misses", "Hit %", "Calls at the provider",
        "Calls saved",
    )  # fmt: skip
    caption = (
        f"Scenario `{found.name}`: look-ups by result as the service counts them; a coalesced look-up shares a call in "
        "progress. The plan fixes which prompts are known, so a hit rate has no interval. Calls are counted at the "
        "provider; saved: look-ups without a call. Retries can make calls exceed the misses."
    )
    return Table(columns, tuple(rows), columns[2:], caption)


def _savings(evidence: Evidence, found: Subject) -> Table:
    before = charged(evidence, found.name, found.case)
    rows = []
    for case in found.cases:
        times = summarize(evidence.response_times(found.name, case.name))
        providers = charged(evidence, found.name, case)
        rows.append(
            (
                case.name,
                text.count(times.n if times else 0),
                text.seconds(times.average if times else None),
                text.tail(times.p95) if times else text.NONE,
                _each(evidence, Role.CACHE_IO_SAVED, found.name, case.name, unit=1000, digits=1),
                _each(evidence, Role.CACHE_TIME_SAVED, found.name, case.name, unit=1, digits=3),
                text.money(providers),
                text.money(before - providers if before is not None and providers is not None else None),
                text.percent(1 - providers / before if before and providers is not None else None),
            )
        )
    columns = (
        "Case", "n", "Avg [s]", "P95 [s]", "Bytes saved [kB/job]", "Call time saved [s/job]", "Providers / job",
        f"Saved against {found.case.name} / job", "Saved %",
    )  # fmt: skip
    caption = (
        f"Money in {evidence.prices.currency} at list prices. Call time is summed over concurrent calls, so a job "
        "gains less. \\* n is too small for an upper limit of the 95 % interval."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _each(evidence: Evidence, role: Role, scenario: str, case: str, *, unit: float, digits: int) -> str:
    jobs = len(evidence.case_jobs(scenario, case))
    values = [evidence.value(role, scenario, case, cache) for cache in CACHES]
    known = [value for value in values if value is not None]
    return text.number(sum(known) / jobs / unit, digits) if known and jobs else text.NONE
