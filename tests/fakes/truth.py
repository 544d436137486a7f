"""What really happened at a fake: exact, complete, and compared by tests with the records of the load generator."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from tests.fakes.clip import ClipSpec

End = Literal["completed", "failed", "cancelled"]


class Clock:
    """Epoch seconds that never go back."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the current time."""
        return self._offset + time.monotonic()


class Job(msgspec.Struct, kw_only=True):
    """One accepted job."""

    number: int
    """From 1, in the order of creation."""
    id: str
    model: str
    prompt: str
    clip: ClipSpec
    steps: int
    fields: dict[str, str]
    """Fields of the create as text, without a reference file."""
    created: float
    started: float | None = None
    ended: float | None = None
    end: End | None = None
    deleted: float | None = None
    """When a client deleted it."""
    forgotten: float | None = None
    """When the server removed it by itself, after its end."""
    lost: float | None = None
    """When the server lost it, before its end."""
    polls: int = 0
    content_requests: int = 0

    @property
    def running(self) -> bool:
        """Whether a slot generates it."""
        return self.started is not None and self.end is None and self.lost is None

    @property
    def waiting(self) -> bool:
        """Whether it waits for a slot."""
        return self.started is None and self.end is None and self.lost is None

    @property
    def there(self) -> bool:
        """Whether the server still knows the job."""
        return self.deleted is None and self.forgotten is None and self.lost is None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in."""

    at: float
    host: str
    """Host header, with port."""
    method: str
    path: str
    """With `{id}` in place of an identifier."""
    status: int
    bytes: int
    authorization: str
    headers: dict[str, str]


@dataclass
class Truth:
    """Ledger of one fake."""

    clock: Clock = field(default_factory=Clock)
    jobs: list[Job] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.clock.now()

    @property
    def created(self) -> int:
        """Accepted jobs."""
        return len(self.jobs)

    @property
    def ends(self) -> dict[str, int]:
        """Ended jobs by end."""
        return dict(Counter(job.end for job in self.jobs if job.end is not None))

    @property
    def deleted(self) -> int:
        """Jobs that a client deleted after their end."""
        return sum(job.deleted is not None and job.end != "cancelled" for job in self.jobs)

    @property
    def cancelled(self) -> int:
        """Jobs that a client stopped before their end."""
        return sum(job.end == "cancelled" for job in self.jobs)

    @property
    def forgotten(self) -> int:
        """Jobs that the server removed by itself."""
        return sum(job.forgotten is not None for job in self.jobs)

    @property
    def lost(self) -> int:
        """Accepted jobs that the server lost before their end."""
        return sum(job.lost is not None for job in self.jobs)

    def count(self, operation: str, status: int | None = None) -> int:
        """Return the requests of an operation such as ``GET /v1/videos/{id}``, all or with a status."""
        return sum(
            f"{seen.method} {seen.path}" == operation and status in {None, seen.status} for seen in self.requests
        )

    def keys(self, host: str) -> set[str]:
        """Return the Authorization headers that came to a host; an empty string stands for none."""
        return {seen.authorization for seen in self.requests if seen.host == host}

    def busy_seconds(self, now: float) -> float:
        """Return the seconds that slots have generated, summed over slots."""
        return sum((job.ended or job.lost or now) - job.started for job in self.jobs if job.started is not None)

    def summary(self) -> dict[str, object]:
        """Return counts and jobs as data, for `GET /truth`."""
        requests: dict[str, Counter[int]] = {}
        hosts: dict[str, Counter[str]] = {}
        for seen in self.requests:
            requests.setdefault(f"{seen.method} {seen.path}", Counter())[seen.status] += 1
            hosts.setdefault(seen.host, Counter())[seen.authorization] += 1
        return {
            "created": self.created,
            "ends": self.ends,
            "deleted": self.deleted,
            "cancelled": self.cancelled,
            "forgotten": self.forgotten,
            "lost": self.lost,
            "running": sum(job.running for job in self.jobs),
            "waiting": sum(job.waiting for job in self.jobs),
            "busy_seconds": self.busy_seconds(self.clock.now()),
            "requests": {operation: {str(k): n for k, n in counts.items()} for operation, counts in requests.items()},
            "authorization_by_host": {host: dict(counts) for host, counts in hosts.items()},
            "jobs": msgspec.to_builtins(self.jobs),
        }
