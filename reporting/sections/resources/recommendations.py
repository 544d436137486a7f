"""Advice on resources: what the numbers of this run say to change first, each sentence with its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.analysis.baseline import compare
from reelbench.reporting.analysis.cost import KINDS, loaded, reference
from reelbench.reporting.analysis.leak import HORIZON, leak
from reelbench.reporting.analysis.traffic import DEPENDENCIES, traffic
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.resources.caching import COLD, SCENARIO, hit_rate
from reelbench.reporting.sections.resources.cost import NAMES
from reelbench.reporting.sections.resources.cpu import levels
from reelbench.reporting.sections.resources.leak import verdict as leak_verdict
from reelbench.reporting.sections.resources.network import SCENARIO as NETWORK
from reelbench.reporting.sections.resources.pooling import POOLED, UNPOOLED
from reelbench.reporting.sections.resources.pooling import SCENARIO as POOLING

HIGH_CPU = 0.8
"""Share of all cores from which on more load waits for the processor."""
MIN_HITS = 0.4
"""Hit rate below which a cache of repeated prompts does not do its work."""
MIN_SHARE = 0.5
"""A part of the cost or of the bytes from which on it is the one to change first."""
MIN_UNUSED = 0.5
"""Of the reserved compute."""


def section(evidence: Evidence) -> Section:
    """All advice that the numbers support."""
    parts = (_cost, _compute, _cpu, _cache, _pooling, _network, _memory)
    advice = tuple(sentence for part in parts for sentence in part(evidence))
    text = (
        f"Thresholds: {HIGH_CPU * 100:g} % of all cores, a hit rate of {MIN_HITS * 100:g} %, {MIN_SHARE * 100:g} % of "
        f"the cost or of the bytes, {MIN_UNUSED * 100:g} % of the reserved compute unused; a difference of response "
        "times whose 95 % interval does not hold zero; the leak rule."
    )
    blocks: list[Block] = [Bullets(advice)] if advice else [Paragraph("No threshold was crossed by what ran.")]
    return Section("Optimization recommendations", (*blocks, Paragraph(text)))


def _cost(evidence: Evidence) -> Iterator[str]:
    found = reference(evidence)
    if found is None:
        return
    _, _, cost = found
    largest = max(cost.charges, key=lambda charge: charge.cost)
    if not cost.total or (share := largest.cost / cost.total) < MIN_SHARE:
        return
    each = largest.cost / cost.completed
    how = "a cheaper provider, or fewer of them by a cache," if largest.name in KINDS else "less of it"
    yield (
        f"**{NAMES[largest.name]} make{'' if largest.name == 'image' else 's'} {share * 100:.0f} % of the cost of a "
        f"job** ({text.money(each)} of {text.money(cost.each)} {evidence.prices.currency}, marginal): {how} saves "
        f"most. Halving it saves {text.money(each * 500)} {evidence.prices.currency} in 1,000 jobs."
    )


def _compute(evidence: Evidence) -> Iterator[str]:
    found = reference(evidence)
    held = loaded(evidence, found[0], found[1]) if found else None
    if held is None or not held.workload or held.unused / held.workload < MIN_UNUSED:
        return
    yield (
        f"**{held.unused / held.workload * 100:.0f} % of the reserved compute is not used with one job at a time:** "
        f"the service uses {held.usage_cores:.2f} cores of the {evidence.prices.assumed('cpu_request'):g} reserved and "
        f"{held.usage_gib:.2f} GiB of the {evidence.prices.assumed('memory_request'):g} reserved; "
        "reserve less, or run more jobs on each instance."
    )


def _cpu(evidence: Evidence) -> Iterator[str]:
    found = levels(evidence)
    cores = evidence.run.environment.cpu_count
    hot = next(((level, share) for level, share, _ in found if share > HIGH_CPU), None)
    if hot:
        yield (
            f"**At {hot[0]} in flight service and media workers use {hot[1] * 100:.0f} % of {cores} cores:** the "
            "processor is the limit; add cores or instances before more workers."
        )
    elif found:
        yield (
            f"**The processor is not the limit up to {found[-1][0]} in flight** (at most "
            f"{max(share for _, share, _ in found) * 100:.0f} % of {cores} cores): more workers can take more jobs on "
            "the same machine, as they mostly wait for providers."
        )


def _cache(evidence: Evidence) -> Iterator[str]:
    if evidence.switched_off("cache"):
        yield "**The caches are switched off:** with them, repeated prompts cost neither time nor providers."
        return
    rate = hit_rate(evidence)
    if rate and rate.value < MIN_HITS:
        yield (
            f"**Only {rate.value * 100:.1f} % of the questions to the caches are hits** ({text.fraction(rate)}): "
            "raise their bounds, or look for what makes equal prompts differ."
        )
    found = compare(evidence, SCENARIO, "warm", COLD)
    if rate and rate.value >= MIN_HITS and found and found.clear and found.change < 0:
        yield (
            f"**Keep the caches:** jobs with known prompts take {found.case.average:.3f} s instead of "
            f"{found.baseline.average:.3f} s. Share them between instances when prompts repeat across users."
        )


def _pooling(evidence: Evidence) -> Iterator[str]:
    if evidence.switched_off("pooling"):
        yield "**Pooling is switched off:** each attempt pays for a connection of its own."
        return
    found = compare(evidence, POOLING, POOLED, UNPOOLED)
    if found is None:
        return
    if found.clear and found.change < 0:
        yield (
            f"**Keep the connections pooled:** a job is {-found.change * 1000:.1f} ms faster (95 % CI of the "
            f"difference {text.interval(found.difference, 'ms')} ms)."
        )
    elif not found.clear:
        yield (
            "**Pooling shows no effect on the response time here:** on loopback a connection is cheap. Measure against "
            "providers over TLS before it is given up."
        )


def _network(evidence: Evidence) -> Iterator[str]:
    scenario = evidence.scenario(NETWORK)
    case = next((c for c in scenario.cases if c.started is not None), None) if scenario else None
    found = traffic(evidence, NETWORK, case) if case else None
    if found is None or not found.total:
        return
    parts = {name: found.sent.get(name, 0.0) + found.received.get(name, 0.0) for name in DEPENDENCIES}
    parts |= {"document upload": found.uploaded, "video download": found.downloaded}
    name = max(parts, key=lambda part: parts[part])
    if (share := parts[name] / found.total) >= MIN_SHARE:
        yield (
            f"**{share * 100:.0f} % of the bytes of a job are {name.upper() if name in ('llm', 'tts') else name}** "
            f"({text.amount(parts[name] / found.jobs)} of {text.amount(found.total / found.jobs)}): a compressed "
            "format there saves most of the bandwidth."
        )


def _memory(evidence: Evidence) -> Iterator[str]:
    found = leak(evidence)
    if found and leak_verdict(evidence) == "LEAK":
        yield (
            f"**Memory leaks at least {text.amount(found.projected)} in {HORIZON:,} jobs:** compare two heap "
            "snapshots (tracemalloc) around 100 jobs; until it is found, restart instances before the memory of the "
            "machine ends."
        )
