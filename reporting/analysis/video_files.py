"""Files as asked: which properties of the opened files are what the jobs asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.videos import Deviation, Property, VideoRecord
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion

_NUMBERS = re.compile(r"\d+")
ENOUGH = 2
"""Files from which a property that none of them has is a property that the server does not follow."""


class Opened(msgspec.Struct, frozen=True):
    """A measured job that the server reported as completed, and its opened file."""

    job: JobRecord
    video: VideoRecord


class Followed(msgspec.Struct, frozen=True):
    """One property of the opened files."""

    kind: Property
    share: Proportion
    """Files that have it as asked, of those that could be compared; exact interval."""
    otherwise: tuple[tuple[str, str, int], ...]
    """What the other files have, what was asked, and their number; the most frequent first."""

    @property
    def never(self) -> bool:
        """True when no file has the property as asked: the server does not follow it."""
        return self.kind is not Property.DECODES and self.share.k == 0 and self.share.n >= ENOUGH


class Files(msgspec.Struct, frozen=True):
    """The opened files of a dimension."""

    opened: tuple[Opened, ...]
    completed: int
    """Measured jobs that downloaded a file, or should have: the server reported them as completed."""
    properties: tuple[Followed, ...]

    @property
    def never(self) -> tuple[Followed, ...]:
        """The properties that the server does not follow."""
        return tuple(one for one in self.properties if one.never)

    @property
    def wrong(self) -> tuple[Opened, ...]:
        """Files that are not as asked in a property that the server follows; those that do not decode come first."""
        never = {one.kind for one in self.never}
        found = (one for one in self.opened if any(deviation.kind not in never for deviation in one.video.wrong))
        return tuple(sorted(found, key=lambda one: one.video.playable))

    @property
    def good(self) -> Proportion | None:
        """Files that are as asked in every property that the server follows; exact interval."""
        return exact_proportion(len(self.opened) - len(self.wrong), len(self.opened))


def opened_files(evidence: Evidence, dimension: str) -> Files:
    """Return the opened files of the measured jobs of a dimension."""
    jobs = [
        job
        for scenario in evidence.scenarios(dimension)
        for job in evidence.scenario_jobs(scenario.name)
        if (job.outcome is Outcome.COMPLETED and job.bytes > 0) or evidence.video(job) is not None
    ]
    opened = tuple(Opened(job, video) for job in jobs if (video := evidence.video(job)) is not None)
    properties = (_followed(kind, [one.video for one in opened]) for kind in Property)
    return Files(opened, len(jobs), tuple(one for one in properties if one is not None))


def _common(one: Deviation) -> str:
    """Return what a file has; of reasons why it does not decode, without ids and numbers, so that equal ones count."""
    if one.kind is not Property.DECODES:
        return one.found
    if one.found.startswith("HTTP "):
        return f"no file ({one.found.partition(':')[0]})"
    return _NUMBERS.sub("n", one.found)


def _followed(kind: Property, videos: Sequence[VideoRecord]) -> Followed | None:
    compared = [video for video in videos if kind is Property.DECODES or kind in video.asked]
    deviations = Counter((_common(one), one.asked) for video in compared for one in video.wrong if one.kind is kind)
    share = exact_proportion(len(compared) - sum(deviations.values()), len(compared))
    if share is None:
        return None
    return Followed(kind, share, tuple((found, asked, number) for (found, asked), number in deviations.most_common()))
