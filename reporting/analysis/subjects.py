"""The subjects of the report sections: the scenarios and cases that show something, found by what was recorded.

A scenario of a user gets the same sections as one of ours: no look-up knows the name of a scenario.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, ScenarioRecord
from reelbench.reporting.analysis.outages import STORE, outages, transient
from reelbench.reporting.catalogue.sli import Catalogue, Evident, Role
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import STOPPED, Evidence

PERFORMANCE, RELIABILITY, RESOURCES = Dimension
FAILING = frozenset({"error", "outage", "stall"})
"""Faults of single calls that a retry can cure."""
LEAK_JOBS = 20
"""Jobs in sequence from which growth of memory is not warm-up."""


class Subject(msgspec.Struct, frozen=True):
    """A scenario, and the case or cases of it that show something; the first case is the baseline of the others."""

    scenario: ScenarioRecord
    cases: tuple[CaseRecord, ...]

    @property
    def name(self) -> str:
        """Of the scenario."""
        return self.scenario.name

    @property
    def case(self) -> CaseRecord:
        """The first case."""
        return self.cases[0]


def names(found: list[ScenarioRecord]) -> list[str]:
    """The names of scenarios."""
    return [scenario.name for scenario in found]


# ---- reliability ----------------------------------------------------------------------------------------------------


def provider_outages(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios in which a provider failed every call for a while."""
    return [scenario for scenario in evidence.scenarios(RELIABILITY) if outages(evidence, scenario.name)]


def store_outages(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios in which the job store was away."""
    return _with_fault(evidence, lambda fault: fault.target == STORE)


def outside_faults(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios with a fault from outside that began: a command of the user's, or a fault of the network."""
    return _with_fault(evidence, lambda fault: fault.outside and fault.error is None)


def retried_errors(evidence: Evidence) -> list[tuple[str, str]]:
    """Scenario and provider of every fault that makes a share of the calls fail in a way that a retry can cure."""
    found = evidence.faults(*names(evidence.scenarios(RELIABILITY)))
    return list(dict.fromkeys((f.scenario, f.target) for f in found if _retried(f)))


def refused_calls(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios in which a provider refused calls with a permanent error: no retry helps, and scenes fail."""
    return _with_fault(
        evidence, lambda f: not f.outside and f.target != STORE and f.kind == "error" and not transient(f)
    )


def cancellations(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios whose plan cancels jobs."""
    return _with_job(evidence, lambda job: job.cancel_sent is not None)


def unusual_load(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios without faults in which a case with arrivals, cancellations or slow clients follows a calm case."""
    faulty = {fault.scenario for fault in evidence.run.faults}
    return [
        scenario
        for scenario in evidence.scenarios(RELIABILITY)
        if scenario.name not in faulty
        and any(unusual(evidence, scenario, case) for case in scenario.cases)
        and any(not unusual(evidence, scenario, case) for case in scenario.cases)
    ]


def unusual(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> bool:
    """Return whether the jobs of a case arrive by themselves, are cancelled, or have slow clients."""
    jobs = evidence.case_jobs(scenario.name, case.name)
    return case.model == "open" or any(job.cancel_sent is not None or job.slow_client for job in jobs)


def normal_operation(evidence: Evidence) -> ScenarioRecord | None:
    """The first scenario without faults, cancellations and toggles, of those judged by the success rate if any is."""
    unquiet = [*cancellations(evidence), *unusual_load(evidence)]
    disturbed = {fault.scenario for fault in evidence.run.faults} | set(names(unquiet))
    calm = [
        scenario
        for scenario in evidence.scenarios(RELIABILITY)
        if scenario.name not in disturbed
        and not any(case.switches for case in scenario.cases)
        and any(job.outcome not in STOPPED for job in evidence.scenario_jobs(scenario.name))
    ]
    return min(calm, key=lambda scenario: not _judged(evidence, Role.SUCCESS_RATE, scenario), default=None)


def most_files_checked(evidence: Evidence) -> ScenarioRecord | None:
    """The scenario with most files compared with their manifest; of a server without manifests, most files opened."""
    files = {
        scenario.name: (
            sum(job.files or 0 for job in evidence.scenario_jobs(scenario.name)),
            sum(evidence.foreign and evidence.video(job) is not None for job in evidence.scenario_jobs(scenario.name)),
        )
        for scenario in evidence.scenarios(RELIABILITY)
    }
    best = max(evidence.scenarios(RELIABILITY), key=lambda scenario: files[scenario.name], default=None)
    return best if best and any(files[best.name]) else None


# ---- performance ----------------------------------------------------------------------------------------------------


def single_request(evidence: Evidence) -> Subject | None:
    """The case with one job in flight: where its response time is judged, else with most completed jobs."""
    found = [
        Subject(scenario, (case,))
        for scenario, case in evidence.cases(PERFORMANCE)
        if _plain(evidence, scenario, case)
        and case.concurrency == 1
        and evidence.response_times(scenario.name, case.name)
    ]

    def rank(one: Subject) -> tuple[bool, int]:
        judged = _judged(evidence, Role.RESPONSE_TIME_P95, one.scenario)
        return judged, len(evidence.response_times(one.name, one.case.name))

    return max(found, key=rank, default=None)


def load_levels(evidence: Evidence, dimension: Dimension) -> Subject | None:
    """The scenario with most levels of closed load, at least two; its cases that began."""
    found = []
    for scenario in evidence.scenarios(dimension):
        cases = [case for case in scenario.cases if _plain(evidence, scenario, case)]
        if len({case.concurrency for case in cases}) > 1:
            found.append(Subject(scenario, tuple(case for case in cases if case.started is not None)))
    return max(found, key=lambda one: len({case.concurrency for case in one.scenario.cases}), default=None)


def api_operations(evidence: Evidence) -> ScenarioRecord | None:
    """The scenario that calls most operations of the API, if it calls more than a job needs."""
    found = max(evidence.scenarios(PERFORMANCE), key=lambda scenario: len(set(scenario.steps)), default=None)
    return found if found and set(found.steps) & {"retrieve", "list", "delete"} else None


def ramp(evidence: Evidence) -> ScenarioRecord | None:
    """The scenario with most arrival rates, at least two, without a burst."""
    rates = {
        scenario.name: {c.arrivals.rate for c in scenario.cases if c.arrivals and c.arrivals.burst_rate is None}
        for scenario in evidence.scenarios(PERFORMANCE)
    }
    found = max(evidence.scenarios(PERFORMANCE), key=lambda scenario: len(rates[scenario.name]), default=None)
    return found if found and len(rates[found.name]) > 1 else None


def bursts(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios with a burst of arrivals."""
    return [
        scenario
        for scenario in evidence.scenarios(PERFORMANCE)
        if any(case.arrivals and case.arrivals.burst_rate is not None for case in scenario.cases)
    ]


# ---- resources ------------------------------------------------------------------------------------------------------


def idle(evidence: Evidence) -> Subject | None:
    """The first case without load."""
    return next((Subject(s, (c,)) for s, c in evidence.cases(RESOURCES) if c.model == "idle"), None)


def single_job(evidence: Evidence) -> Subject | None:
    """The first scenario that sends one job at a time, without a pace and with nothing toggled."""
    for scenario in evidence.scenarios(RESOURCES):
        if all(_plain(evidence, scenario, case) and case.concurrency == 1 for case in scenario.cases):
            return Subject(scenario, tuple(case for case in scenario.cases if case.started is not None))
    return None


def sequential_jobs(evidence: Evidence) -> Subject | None:
    """The longest case with one job after the other and no cache that fills: where memory grows, it leaks."""
    cached = (evidence.run.switches or {}).get("cache", False)
    found = [
        Subject(scenario, (case,))
        for scenario, case in evidence.cases(RESOURCES)
        if case.model == "closed"
        and case.concurrency == 1
        and case.planned >= LEAK_JOBS
        and not case.switches.get("cache", cached)
    ]
    return max(found, key=lambda one: one.case.planned, default=None)


def steady_load(evidence: Evidence) -> Subject | None:
    """The case for bytes of a job: several in flight with caches off, else the first closed one with new prompts."""
    closed = [
        Subject(scenario, (case,))
        for scenario, case in evidence.cases(RESOURCES)
        if case.model == "closed" and case.prompts == "unique" and "pooling" not in case.switches
    ]

    def uncached(one: Subject) -> bool:
        return one.case.switches == {"cache": False} and one.case.concurrency > 1 and one.case.pace is None

    return next(filter(uncached, closed), closed[0] if closed else None)


def known_prompts(evidence: Evidence) -> Subject | None:
    """The scenario that repeats prompts; the baseline is its first case with new ones."""
    for scenario in evidence.scenarios(RESOURCES):
        new = [case for case in scenario.cases if case.prompts == "unique" and case.started is not None]
        known = [case for case in scenario.cases if case.prompts != "unique" and case.started is not None]
        if any(case.prompts != "unique" for case in scenario.cases) and new:
            return Subject(scenario, (new[0], *known))
    return None


def under_load(evidence: Evidence) -> list[ScenarioRecord]:
    """Scenarios that send jobs."""
    return [s for s in evidence.scenarios(RESOURCES) if any(evidence.case_jobs(s.name, case.name) for case in s.cases)]


class Toggled(msgspec.Struct, frozen=True):
    """A scenario with cases in which something of the service is on, and cases in which it is off."""

    scenario: ScenarioRecord
    on: tuple[CaseRecord, ...]
    off: tuple[CaseRecord, ...]

    @property
    def name(self) -> str:
        """Of the scenario."""
        return self.scenario.name


def toggled(evidence: Evidence, toggle: str) -> Toggled | None:
    """The scenario with cases in which something of the service is off, and cases in which it is on."""
    for scenario in evidence.scenarios(RESOURCES):
        off = [case for case in scenario.cases if case.switches.get(toggle) is False and case.started is not None]
        on = [case for case in scenario.cases if case.switches.get(toggle, True) and case.started is not None]
        if off and on:
            return Toggled(scenario, tuple(on), tuple(off))
    return None


# ---- the catalogue --------------------------------------------------------------------------------------------------


def of_run(evidence: Evidence) -> Catalogue:
    """Return the catalogue with the scenarios of a run that show the subject of an indicator or of an objective."""
    found = {subject: tuple(find(evidence)) for subject, find in EVIDENT.items()}

    def extended(scenarios: tuple[str, ...], subject: Evident | None) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*scenarios, *found[subject]))) if subject else scenarios

    slis = []
    for sli in evidence.catalogue.slis:
        objective = sli.objective
        if objective is not None:
            objective = replace(objective, scenarios=extended(objective.scenarios, objective.subject))
        slis.append(replace(sli, scenarios=extended(sli.scenarios, sli.subject), objective=objective))
    return Catalogue(tuple(slis), evidence.catalogue.readings)


def _only(*found: ScenarioRecord | Subject | None) -> list[str]:
    return [one.name for one in found if one is not None]


EVIDENT: dict[Evident, Callable[[Evidence], list[str]]] = {
    Evident.PROVIDER_OUTAGE: lambda evidence: names(provider_outages(evidence)),
    Evident.OUTSIDE_FAULT: lambda evidence: names(outside_faults(evidence)),
    Evident.STORE_OUTAGE: lambda evidence: names(store_outages(evidence)),
    Evident.CANCELLATION: lambda evidence: names(cancellations(evidence)),
    Evident.STORED_JOBS: lambda evidence: names(
        _with_job(evidence, lambda j: j.accepted is not None and not j.deleted)
    ),
    Evident.CHECKED_FILES: lambda evidence: _only(most_files_checked(evidence)),
    Evident.RAMP: lambda evidence: _only(ramp(evidence)),
    Evident.BURST: lambda evidence: names(bursts(evidence)),
    Evident.SINGLE_JOB: lambda evidence: _only(single_job(evidence)),
    Evident.LOAD_LEVELS: lambda evidence: _only(load_levels(evidence, RESOURCES)),
    Evident.SEQUENTIAL_JOBS: lambda evidence: _only(sequential_jobs(evidence)),
    Evident.KNOWN_PROMPTS: lambda evidence: _only(known_prompts(evidence)),
    Evident.RESOURCES_UNDER_LOAD: lambda evidence: names(under_load(evidence)),
}
"""How the scenarios of a subject are found."""


# ---- shared ---------------------------------------------------------------------------------------------------------


def _with_fault(evidence: Evidence, holds: Callable[[FaultRecord], bool]) -> list[ScenarioRecord]:
    found = {fault.scenario for fault in evidence.run.faults if holds(fault)}
    return [scenario for scenario in evidence.scenarios(RELIABILITY) if scenario.name in found]


def _with_job(evidence: Evidence, holds: Callable[[JobRecord], bool]) -> list[ScenarioRecord]:
    return [s for s in evidence.scenarios(RELIABILITY) if any(map(holds, evidence.scenario_jobs(s.name)))]


def _retried(fault: FaultRecord) -> bool:
    return not fault.outside and fault.target != STORE and fault.rate < 1 and fault.kind in FAILING and transient(fault)


def _plain(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> bool:
    """A closed case as fast as jobs end, without faults, toggles and known prompts."""
    faulty = any((fault.scenario, fault.case) == (scenario.name, case.name) for fault in evidence.run.faults)
    undisturbed = not faulty and not case.switches and case.prompts == "unique"
    return case.model == "closed" and case.pace is None and undisturbed


def _judged(evidence: Evidence, role: Role, scenario: ScenarioRecord) -> bool:
    sli = evidence.catalogue.of_role(role)
    if sli is None:
        return False
    return sli.id in scenario.objectives or (sli.objective is not None and scenario.name in sli.objective.scenarios)
