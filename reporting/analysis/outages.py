"""Outages of a provider and the reaction of its circuit breaker, from event times instead of scraped state."""

from __future__ import annotations

from statistics import median

import msgspec

from reelbench.loadgen.record.jobs import CallRecord, Outcome
from reelbench.loadgen.record.run import FaultRecord, TransitionRecord
from reelbench.reporting.evidence.evidence import Evidence, once
from reelbench.reporting.statistics.intervals import Interval, mean_interval

STORE = "store"
FAILING = frozenset({"outage", "stall", "corrupt"})
REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVER_ERROR = 408, 429, 500


class Outage(msgspec.Struct, frozen=True):
    """A fault that hit every call of a provider. All instants are Unix time in seconds; None = it did not happen."""

    scenario: str
    case: str
    provider: str
    on: float
    lifted: float | None
    opened: float | None
    """First opening of the breaker."""
    half_open: float | None
    """Start of the probe that closed the breaker."""
    closed: float | None
    """Time when the breaker closed, and stayed closed until the next outage or the end of the case."""
    first_completed: float | None
    """Completion of the first job that was sent after the fault ended."""

    @property
    def detection(self) -> float | None:
        """Fault on until opened, in seconds."""
        return _between(self.on, self.opened)

    @property
    def open_after_lifting(self) -> float | None:
        """Fault off until the successful probe began; negative when the end of the fault was confirmed later."""
        return _between(self.lifted, self.half_open)

    @property
    def probe(self) -> float | None:
        """Length of the successful probe."""
        return _between(self.half_open, self.closed)

    @property
    def to_first_job(self) -> float | None:
        """Closed until the completion of the first job that was sent after the fault ended."""
        return _between(self.closed, self.first_completed)

    @property
    def after_lifting(self) -> float | None:
        """Fault off until closed: the delay that the breaker adds."""
        return _between(self.lifted, self.closed)

    @property
    def recovery(self) -> float | None:
        """Fault on until closed; None when it never recovered, or never opened."""
        return _between(self.on, self.closed) if self.opened is not None else None


class Recovery(msgspec.Struct, frozen=True):
    """Recovery times of the outages that opened the breaker, in seconds."""

    n: int
    """Outages that recovered."""
    censored: int
    """Outages that opened the breaker and did not recover within the case."""
    mean: float
    interval: Interval
    """Of the mean, by Student's t."""
    median: float
    minimum: float
    maximum: float


@once
def outages(evidence: Evidence, *scenarios: str) -> tuple[Outage, ...]:
    """Return the outages of scenarios, in order of time."""
    faults = [fault for fault in evidence.faults(*scenarios) if _hits_all(fault)]
    return tuple(_outage(evidence, fault, faults) for fault in faults)


def recovery(found: tuple[Outage, ...]) -> Recovery | None:
    """Return the figures of the recovered outages; None without any."""
    times = [outage.recovery for outage in found if outage.recovery is not None]
    if not times:
        return None
    return Recovery(
        n=len(times),
        censored=sum(1 for outage in found if outage.opened is not None and outage.closed is None),
        mean=sum(times) / len(times),
        interval=mean_interval(times),
        median=median(times),
        minimum=min(times),
        maximum=max(times),
    )


def transitions(evidence: Evidence, scenario: str, case: str, provider: str) -> list[TransitionRecord]:
    """Return the state changes of one breaker within a case, in order of time."""
    found = (t for t in evidence.run.transitions if (t.scenario, t.case, t.provider) == (scenario, case, provider))
    return sorted(found, key=lambda t: t.at)


def calls_during(evidence: Evidence, outage: Outage) -> list[CallRecord]:
    """Return the calls that arrived at the provider while the fault was on."""
    until = outage.lifted if outage.lifted is not None else float("inf")
    return [
        call
        for call in evidence.calls
        if (call.scenario, call.case, call.provider) == (outage.scenario, outage.case, outage.provider)
        and outage.on <= call.arrived <= until
    ]


def transient(fault: FaultRecord) -> bool:
    """True when a retry can cure the fault: no HTTP status, or one that is not a permanent error."""
    return fault.status is None or (
        fault.status >= SERVER_ERROR or fault.status in {REQUEST_TIMEOUT, TOO_MANY_REQUESTS}
    )


def _hits_all(fault: FaultRecord) -> bool:
    if fault.outside or fault.target == STORE or fault.rate < 1:
        return False
    return fault.kind in FAILING or (fault.kind == "error" and transient(fault))  # a breaker ignores permanent errors


def _outage(evidence: Evidence, fault: FaultRecord, faults: list[FaultRecord]) -> Outage:
    following = [
        other.started
        for other in faults
        if (other.scenario, other.case, other.target) == (fault.scenario, fault.case, fault.target)
        and other.started > fault.started
    ]
    until = min(following, default=float("inf"))
    changes = [
        change
        for change in transitions(evidence, fault.scenario, fault.case, fault.target)
        if fault.started <= change.at < until
    ]
    opened = next((change.at for change in changes if change.after == "open"), None)
    closed = changes[-1].at if opened is not None and changes[-1].after == "closed" else None
    probes = [change.at for change in changes if change.after == "half_open" and closed and change.at <= closed]
    completed = [
        job.done
        for job in evidence.jobs
        if fault.ended is not None
        and job.scenario == fault.scenario
        and job.case == fault.case
        and job.outcome is Outcome.COMPLETED
        and fault.ended <= job.sent < until
    ]
    return Outage(
        scenario=fault.scenario,
        case=fault.case,
        provider=fault.target,
        on=fault.started,
        lifted=fault.ended,
        opened=opened,
        half_open=max(probes, default=None),
        closed=closed,
        first_completed=min(completed, default=None),
    )


def _between(first: float | None, second: float | None) -> float | None:
    return second - first if first is not None and second is not None else None
