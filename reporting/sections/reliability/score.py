"""The reliability score: a weighted mean of shares that a single loss fails."""

from __future__ import annotations

import msgspec

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.reliability import breaker
from reelbench.reporting.sections.reliability.outcomes import handled, leftovers, success
from reelbench.reporting.sections.reliability.retries import recovered
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion

PASSING = 0.9
"""Keptn's default for the total score of a passed evaluation."""


class Part(msgspec.Struct, frozen=True):
    """One share with its weight."""

    name: str
    weight: int
    tested: bool
    """False when no scenario of the run shows it: the part is then left out of the score, and the score says so."""
    share: Proportion | None
    """None when there is no data."""
    key: bool = False
    """A share below 1 fails the score."""

    @property
    def failed(self) -> bool:
        """True when this is a key part with a share below 1."""
        return self.key and self.share is not None and self.share.k < self.share.n


class Score(msgspec.Struct, frozen=True):
    """The parts, their weighted mean and its status."""

    parts: tuple[Part, ...]

    @property
    def tested(self) -> tuple[Part, ...]:
        """The parts that the run has a scenario for."""
        return tuple(part for part in self.parts if part.tested)

    @property
    def weight(self) -> int:
        """Sum of the weights of the tested parts."""
        return sum(part.weight for part in self.tested)

    @property
    def weighted(self) -> float:
        """Sum of the weighted shares."""
        return sum(part.weight * part.share.value for part in self.tested if part.share is not None)

    @property
    def value(self) -> float | None:
        """Weighted mean of the shares; None when a tested part has no data."""
        return self.weighted / self.weight if self.tested and all(part.share for part in self.tested) else None

    @property
    def status(self) -> Status:
        """FAIL by a key part also without a value; INCONCLUSIVE when a part was not tested."""
        if any(part.failed for part in self.parts):
            return Status.FAIL
        if self.value is None:
            return Status.NO_DATA
        if self.value < PASSING:
            return Status.FAIL
        return Status.PASS if len(self.tested) == len(self.parts) else Status.INCONCLUSIVE


def score(evidence: Evidence) -> Score:
    """Return the score of a run."""
    ran = subjects.names(evidence.scenarios(Dimension.RELIABILITY))
    kept = losses(evidence, *ran)
    lost = kept.lost if kept.lost or not (kept.unread or kept.unlisted) else None
    listed = bool(ran) and (len(kept.unlisted) < len(ran) or not evidence.foreign)
    checked = subjects.most_files_checked(evidence)
    intact = losses(evidence, checked.name) if checked else None
    left = leftovers(evidence)
    outage = bool(subjects.provider_outages(evidence))
    normal, errors = subjects.normal_operation(evidence) is not None, bool(subjects.retried_errors(evidence))
    refused, cancelled = bool(subjects.refused_calls(evidence)), bool(subjects.cancellations(evidence))
    found = None if lost is None else exact_proportion(kept.expected - lost, kept.expected)
    whole = exact_proportion(intact.checked - intact.damaged, intact.checked) if intact else None
    clean = exact_proportion(left.n - left.k, left.n) if left else None
    seen = (
        Part("jobs completed in normal operation", 2, normal, success(evidence)),
        Part("accepted jobs not lost", 3, listed, found, key=True),
        Part("checked jobs with intact files", 2, intact is not None, whole),
    )
    if evidence.foreign:  # the other parts need the providers, the breaker and the manifests of our own service
        return Score(seen)
    parts = (
        seen[0],
        Part("transient provider failures recovered by a retry", 2, errors, recovered(evidence)),
        Part("provider outages with the breaker opened and closed again", 2, outage, _closed_again(evidence)),
        Part("attempts rejected by an open breaker, of those and passed calls", 2, outage, _held(evidence), key=True),
        *seen[1:],
        Part("jobs with a video despite refused scenes", 1, refused, handled(evidence)),
        Part("cancelled jobs without leftovers", 1, cancelled, clean),
    )
    return Score(parts)


def section(evidence: Evidence) -> Section:
    """Return formula, weights and the calculation row by row."""
    found = score(evidence)
    rows = [
        (
            f"{part.name}{' (key)' if part.key else ''}",
            text.count(part.weight),
            text.fraction(part.share),
            text.number(part.share.value if part.share else None, 4),
            text.number(part.weight * part.share.value if part.share else None, 4),
            _remark(part),
        )
        for part in found.parts
    ]
    if found.value is not None:
        rows.append(("sum", text.count(found.weight), "", "", text.number(found.weighted, 4), ""))
    columns = ("Part", "Weight w", "k of n", "Share s = k / n", "w s", "Remark")
    keys = "a lost job" if evidence.foreign else "a lost job, a call through an open breaker"
    formula = (
        f"Score = 100 (sum of w s) / (sum of w) over the tested parts; it passes at ≥ {PASSING * 100:g} with all parts "
        f"tested. A key part below 1 ({keys}) fails the score. If a tested part has no data, no score is given."
    )
    blocks: list[Block] = [Paragraph(_sentence(found)), Table(columns, tuple(rows), columns[1:5], formula)]
    if failing := [part.name for part in found.parts if part.failed]:
        blocks.append(Bullets(tuple(f"Key part below 1: {name}." for name in failing)))
    return Section("Reliability score", tuple(blocks))


def _remark(part: Part) -> str:
    if part.failed:
        return "**fails the score**"
    return "not tested" if not part.tested else "no data" if part.share is None else ""


def _sentence(found: Score) -> str:
    if found.value is None:
        missing = ", ".join(part.name for part in found.tested if part.share is None)
        failing = " A key part below 1 fails it." if found.status is Status.FAIL else ""
        return f"**No score: {found.status}.** No data in: {missing or 'any part'}.{failing}"
    untested = [part.name for part in found.parts if not part.tested]
    part = f" It rests on {len(found.tested)} of {len(found.parts)} parts; not tested: {', '.join(untested)}."
    return (
        f"**Reliability score: {found.value * 100:.1f} of 100, {found.status}** "
        f"({found.weighted:.4f} / {found.weight} * 100).{part if untested else ''}"
    )


def _closed_again(evidence: Evidence) -> Proportion | None:
    if evidence.switched_off("breaker"):
        return None
    found = breaker.provider_outages(evidence)
    return exact_proportion(sum(1 for outage in found if outage.recovery is not None), len(found))


def _held(evidence: Evidence) -> Proportion | None:
    if evidence.switched_off("breaker") or not breaker.counted(evidence):
        return None
    crossed = breaker.calls_while_open(evidence)
    held = breaker.rejected(evidence, crossed) or 0
    # A call that passed is known without Prometheus, and it fails the score.
    return exact_proportion(held, held + len(crossed.passed))
