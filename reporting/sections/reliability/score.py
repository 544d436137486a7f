"""The reliability score: a weighted mean of shares, in which nothing outweighs a loss."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.open_breaker_calls import open_breaker_calls
from reelbench.reporting.analysis.outages import outages
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.reliability.cancellation import leftovers
from reelbench.reporting.sections.reliability.partial_failures import handled
from reelbench.reporting.sections.reliability.retries import PROVIDER, SCENARIO, recovered
from reelbench.reporting.sections.reliability.success import DIMENSION, NORMAL, success
from reelbench.reporting.statistics.intervals import Proportion, proportion

PASSING = 0.9
"""Keptn's default for the total score of a passed evaluation."""


@dataclass(frozen=True, slots=True)
class Part:
    """One share with its weight; None when there is no data."""

    name: str
    weight: int
    share: Proportion | None
    key: bool = False
    """Anything less than all of it fails the score, whatever the other parts say."""

    @property
    def failed(self) -> bool:
        """True when a key part does not hold in full."""
        return self.key and self.share is not None and self.share.k < self.share.n


@dataclass(frozen=True, slots=True)
class Score:
    """The parts and what they amount to."""

    parts: tuple[Part, ...]

    @property
    def value(self) -> float | None:
        """Weighted mean of the shares; None when a part has no data."""
        shares = [(part.weight, part.share.value) for part in self.parts if part.share is not None]
        if not shares or len(shares) < len(self.parts):
            return None
        return sum(weight * share for weight, share in shares) / sum(weight for weight, _ in shares)

    @property
    def status(self) -> Status:
        """FAIL by a key part also where the score itself cannot be given."""
        if any(part.failed for part in self.parts):
            return Status.FAIL
        if self.value is None:
            return Status.NO_DATA
        return Status.PASS if self.value >= PASSING else Status.FAIL


def score(evidence: Evidence) -> Score:
    """The score of a run."""
    kept = losses(evidence, *(scenario.name for scenario in evidence.scenarios(DIMENSION)))
    intact = losses(evidence, "data_integrity")
    left = leftovers(evidence)
    return Score(
        (
            Part("jobs completed in normal operation", 2, success(evidence, NORMAL)),
            Part("transient TTS failures recovered by a retry", 2, recovered(evidence, SCENARIO, PROVIDER)),
            Part("outages that opened the breaker and were recovered from", 2, _outages(evidence)),
            Part("attempts that an open breaker held back", 2, _held(evidence), key=True),
            Part(
                "accepted jobs not lost",
                3,
                None
                if kept.lost is None or (kept.unread and not kept.lost)
                else proportion(kept.expected - kept.lost, kept.expected),
                key=True,
            ),
            Part("checked jobs with intact files", 2, proportion(intact.checked - intact.corrupt, intact.checked)),
            Part("jobs with a video in spite of refused scenes", 1, handled(evidence)),
            Part("cancelled jobs that left nothing behind", 1, proportion(left.n - left.k, left.n) if left else None),
        )
    )


def section(evidence: Evidence) -> Section:
    """Formula, weights and the calculation row by row."""
    found = score(evidence)
    total = sum(part.weight for part in found.parts)
    rows = [
        (
            f"{part.name}{' (key)' if part.key else ''}",
            text.count(part.weight),
            text.fraction(part.share),
            text.number(part.share.value if part.share else None, 4),
            text.number(part.weight * part.share.value if part.share else None, 4),
            "**fails the score**" if part.failed else "no data" if part.share is None else "",
        )
        for part in found.parts
    ]
    value = found.value
    summed = sum(part.weight * part.share.value for part in found.parts if part.share)
    if value is not None:
        rows.append(("sum", text.count(total), "", "", text.number(summed, 4), ""))
    columns = ("Part", "Weight w", "k of n", "Share s = k / n", "w s", "Remark")
    formula = (
        f"Score = 100 (sum of w s) / (sum of w). It passes from {PASSING * 100:g} on, unless a key part is less than "
        "whole: a lost job or a call through an open breaker fails it, whatever the other parts say. A part without "
        "data is not left out of the mean; the score is then not given."
    )
    blocks: list[Block] = [
        Paragraph(_sentence(found, summed, total)),
        Table(columns, tuple(rows), columns[1:5], formula),
    ]
    keys = [part.name for part in found.parts if part.failed]
    if keys:
        blocks.append(Bullets(tuple(f"Key part less than whole: {name}." for name in keys)))
    return Section("Reliability score", tuple(blocks))


def _sentence(found: Score, summed: float, total: int) -> str:
    value = found.value
    if value is None:
        missing = ", ".join(part.name for part in found.parts if part.share is None)
        failing = " A key part fails it all the same." if found.status is Status.FAIL else ""
        return f"**The score is not given: {found.status}.** No data in: {missing}.{failing}"
    return f"**Reliability score: {value * 100:.1f} of 100, {found.status}** ({summed:.4f} / {total} x 100)."


def _outages(evidence: Evidence) -> Proportion | None:
    if evidence.switched_off("breaker"):
        return None
    found = outages(evidence, "llm_outage")
    return proportion(sum(1 for outage in found if outage.recovery is not None), len(found))


def _held(evidence: Evidence) -> Proportion | None:
    """Attempts rejected, of those and the calls that passed while the breaker was open."""
    if evidence.switched_off("breaker") or not any(call.scenario == "llm_outage" for call in evidence.calls):
        return None
    found = open_breaker_calls(evidence, "llm_outage")
    providers = dict.fromkeys(interval.provider for interval in found.intervals)
    rejected = [evidence.value("not_permitted", "llm_outage", member=provider) for provider in providers]
    if not rejected or None in rejected:
        # a call that passed is known without Prometheus, and it is what fails the score
        return proportion(0, len(found.passed))
    held = sum(round(number) for number in rejected if number is not None)
    return proportion(held, held + len(found.passed))
