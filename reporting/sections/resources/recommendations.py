"""Recommendations on resources: where the numbers say that a change saves most."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.analysis.cost import KINDS, loaded, reference
from reelbench.reporting.analysis.leak import HORIZON
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.recommendations import Advice, Rule
from reelbench.reporting.sections.resources.caching import hit_rate
from reelbench.reporting.sections.resources.cost import NAMES
from reelbench.reporting.sections.resources.cpu import levels, together
from reelbench.reporting.sections.resources.memory import leak_verdict, sequential_growth
from reelbench.reporting.sections.resources.network import steady
from reelbench.reporting.sections.resources.optimizations import cache_effects, pooling_effect

HIGH_CPU = 0.8
"""Share of all cores from which more load waits for the CPU."""
MIN_HITS = 0.4
"""Hit rate below which a cache of repeated prompts is not effective."""
MIN_SHARE = 0.5
"""Share of the cost or of the bytes from which a part is the one to change first."""
MIN_UNUSED = 0.5
"""Share of the reserved compute."""


def _cost(evidence: Evidence) -> Iterator[Advice]:
    found = reference(evidence)
    if found is None:
        return
    _, _, cost = found
    largest = max(cost.charges, key=lambda charge: charge.cost)
    if not cost.total or (share := largest.cost / cost.total) < MIN_SHARE:
        return
    each = largest.cost / cost.completed
    how = "use a cheaper provider, or a cache for fewer calls" if largest.name in KINDS else "use less of it"
    yield Advice(
        f"{share * 100:.0f} % of the cost of a job: {NAMES[largest.name]}",
        f"{text.money(each)} of {text.money(cost.each)} {evidence.prices.currency}, marginal; {how}. Halving it saves "
        f"{text.money(each * 500)} {evidence.prices.currency} per 1,000 jobs",
    )


def _compute(evidence: Evidence) -> Iterator[Advice]:
    found = reference(evidence)
    held = loaded(evidence, found[0], found[1]) if found else None
    if found is None or held is None or not held.workload or held.unused / held.workload < MIN_UNUSED:
        return
    yield Advice(
        f"{held.unused / held.workload * 100:.0f} % of the reserved compute is unused in {found[0]}",
        f"the service uses {held.usage_cores:.2f} of {evidence.prices.assumed('cpu_request'):g} reserved cores and "
        f"{held.usage_gib:.2f} of {evidence.prices.assumed('memory_request'):g} reserved GiB; reserve less, or run "
        "more jobs on each instance",
    )


def _cpu(evidence: Evidence) -> Iterator[Advice]:
    found = levels(evidence)
    cores = evidence.run.environment.cpu_count
    hot = next(((level, share) for level, share, _ in found if share > HIGH_CPU), None)
    if hot:
        yield Advice(
            f"At {hot[0]} in flight, service and media workers use {hot[1] * 100:.0f} % of {cores} cores",
            "the CPU is the limit; add cores or instances before more workers",
        )
    elif found:
        most = max(share for _, share, _ in found)
        run = together(evidence)
        whole = f", with providers and load generator {run * 100:.0f} %" if run is not None else ""
        left = (
            "what limits the service does not follow from this: other programs on the machine are not in it, and more "
            "workers were not measured"
        )
        yield Advice(
            f"Service and media workers use at most {most * 100:.0f} % of {cores} cores up to {found[-1][0]} in "
            f"flight{whole}",
            left,
        )


def _cache(evidence: Evidence) -> Iterator[Advice]:
    if evidence.switched_off("cache"):
        yield Advice("The caches are off", "with caches, repeated prompts need no provider calls")
        return
    rate = hit_rate(evidence)
    if rate and rate.value < MIN_HITS:
        yield Advice(
            f"Only {rate.value * 100:.1f} % of the look-ups in the caches are hits",
            f"{text.fraction(rate)}; enlarge the caches, or find out why equal prompts differ",
        )
    found = next((found for _, found in cache_effects(evidence)), None)
    if rate and rate.value >= MIN_HITS and found and found.shown and found.change < 0:
        yield Advice(
            "Keep the caches",
            f"jobs with known prompts take {found.case.average:.3f} s instead of {found.baseline.average:.3f} s. Share "
            "the caches between instances when prompts repeat across users",
        )


def _pooling(evidence: Evidence) -> Iterator[Advice]:
    if evidence.switched_off("pooling"):
        yield Advice("Connection pooling is off", "every attempt opens its own connection")
        return
    found = pooling_effect(evidence)
    if found is not None and found.shown and found.change < 0:
        yield Advice(
            "Keep connection pooling",
            f"a job is {-found.change * 1000:.1f} ms faster (95 % CI of the difference "
            f"{text.interval(found.difference, 'ms')} ms, corrected p {text.p_value(found.p)})",
        )
    elif found is not None and not found.shown and found.disturbed is None:
        yield Advice(
            "No effect of pooling on the response time is shown",
            "a connection on loopback is cheap; measure with providers over TLS before removing it",
        )


def _network(evidence: Evidence) -> Iterator[Advice]:
    found = steady(evidence)
    if found is None or not found.total:
        return
    parts = {name: found.sent.get(name, 0.0) + found.received.get(name, 0.0) for name in found.sent | found.received}
    parts |= {"document upload": found.uploaded, "video download": found.downloaded}
    name = max(parts, key=lambda part: parts[part])
    if (share := parts[name] / found.total) >= MIN_SHARE:
        yield Advice(
            f"{share * 100:.0f} % of the bytes of a job: {name.upper() if name in ('llm', 'tts') else name}",
            f"{text.amount(parts[name] / found.jobs)} of {text.amount(found.total / found.jobs)}; a compressed format "
            "there saves most of the bandwidth",
        )


def _memory(evidence: Evidence) -> Iterator[Advice]:
    found = sequential_growth(evidence)
    if found and leak_verdict(evidence) == "LEAK":
        yield Advice(
            f"Memory leaks at least {text.amount(found.projected)} per {HORIZON:,} jobs",
            "compare two heap snapshots (tracemalloc) 100 jobs apart; until it is fixed, restart instances regularly",
        )


RULES = (
    Rule(f"{MIN_SHARE * 100:g} % of the cost in one part", _cost),
    Rule(f"{MIN_UNUSED * 100:g} % of the reserved compute unused", _compute),
    Rule(f"{HIGH_CPU * 100:g} % of all cores", _cpu),
    Rule(f"a hit rate of {MIN_HITS * 100:g} %", _cache),
    Rule("a difference of response times that is shown", _pooling),
    Rule(f"{MIN_SHARE * 100:g} % of the bytes in one part", _network),
    Rule("the leak rule", _memory),
)
CALLS_FOR_CHANGE = (RULES[-1], RULES[0])
"""The rules whose advice is an action: a leak, and the largest part of the cost."""
