"""What the jobs of a case cost at list prices."""

from __future__ import annotations

import math

import msgspec

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.cpu_usage import job_seconds, utilisation
from reelbench.reporting.analysis.process_usage import UNDER_TEST, memory
from reelbench.reporting.analysis.subjects import RESOURCES, load_levels, single_job, steady_load
from reelbench.reporting.analysis.traffic import traffic
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import Evidence, case_seconds

HOUR = 3600.0
MONTH = 730.0
"""Hours of a month."""
GIB = 2.0**30
KINDS = {"llm_input": "input_tokens", "llm_output": "output_tokens", "tts": "characters", "image": "images"}
PER = {"llm_input": 1e6, "llm_output": 1e6, "tts": 1e6, "image": 1.0}
PROVIDERS = {"llm": ("llm_input", "llm_output"), "tts": ("tts",), "image": ("image",)}
"""The prices that a call of each provider is charged by."""


class Charge(msgspec.Struct, frozen=True):
    """One line of a bill, named after FOCUS. Money is in the currency of the price list."""

    name: str
    quantity: float
    """ConsumedQuantity of all measured jobs, in the unit of the price."""
    cost: float
    """ListCost: quantity by ListUnitPrice."""


class Bill(msgspec.Struct, frozen=True):
    """The marginal cost of a case: usage of its jobs, without reserved capacity."""

    jobs: int
    completed: int
    charges: tuple[Charge, ...]
    retries: float
    """List cost of the attempts beyond the first, if providers charge for attempts that failed."""

    @property
    def total(self) -> float:
        """Cost of all measured jobs."""
        return math.fsum(charge.cost for charge in self.charges)

    @property
    def each(self) -> float:
        """Cost of one completed job; the usage of failed jobs is spread over the completed ones."""
        return self.total / self.completed

    @property
    def failures(self) -> float:
        """Part of the cost of one completed job that failed jobs caused."""
        return self.each * (self.jobs - self.completed) / self.jobs

    def of(self, *names: str) -> float:
        """Return the cost of some charges for one completed job."""
        return math.fsum(charge.cost for charge in self.charges if charge.name in names) / self.completed


class Loaded(msgspec.Struct, frozen=True):
    """Compute used and reserved by a case; money for one completed job."""

    usage_cores: float
    usage_gib: float
    workload: float
    """max(request, usage) of CPU and memory for the length of the case."""
    unused: float
    """Part of the workload that was reserved and not used."""
    idle: float
    """CPU and memory of the machine that the workload does not use."""


class Month(msgspec.Struct, frozen=True):
    """A month at a steady load."""

    jobs: float
    instances: int
    capacity: float
    """Best throughput of one instance that was measured, in jobs per second."""
    compute: float
    """max(request, usage) of all instances."""
    variable: float
    """Providers and egress."""


def bill(evidence: Evidence, scenario: str, case: CaseRecord) -> Bill | None:
    """Return the marginal cost of a case; None when a part was not measured, or no job was completed."""
    jobs = evidence.case_jobs(scenario, case.name)
    completed = sum(1 for job in jobs if job.outcome is Outcome.COMPLETED)
    seconds = case_seconds(case)
    used, held = job_seconds(evidence, scenario, case), memory(evidence, scenario, case, *UNDER_TEST)
    moved = traffic(evidence, scenario, case)
    if not completed or not seconds or used is None or held is None or held.growth is None or moved is None:
        return None
    quantities = {
        "cpu": used * len(jobs) / HOUR,
        "memory": max(held.growth, 0.0) / GIB * seconds / HOUR,
        "egress": moved.egress / 1e9,
        **{name: (evidence.value(Role.USAGE, scenario, case.name, KINDS[name]) or 0.0) / PER[name] for name in KINDS},
    }
    charges = tuple(
        Charge(name, quantity, quantity * evidence.prices.price(name)) for name, quantity in quantities.items()
    )
    return Bill(len(jobs), completed, charges, _retries(evidence, scenario, case, charges) / completed)


def reference(evidence: Evidence) -> tuple[str, CaseRecord, Bill] | None:
    """Return scenario, case and bill that stand for a job: single jobs, else a steady load, else the lowest level."""
    for found in (single_job(evidence), steady_load(evidence), load_levels(evidence, RESOURCES)):
        for case in found.cases if found else ():
            if found and (cost := bill(evidence, found.name, case)) is not None:
                return found.name, case, cost
    return None


def charged(evidence: Evidence, scenario: str, case: CaseRecord) -> float | None:
    """Return the list cost of the providers' charges for one completed job; None without completed jobs or usage."""
    completed = len(evidence.response_times(scenario, case.name))
    used = {name: evidence.value(Role.USAGE, scenario, case.name, kind) for name, kind in KINDS.items()}
    asked = evidence.value(Role.CACHE_HITS, scenario, case.name, "script")
    if not completed or (all(value is None for value in used.values()) and not asked):
        return None  # without charges, cache hits distinguish zero cost from no data
    return math.fsum((used[name] or 0.0) / PER[name] * evidence.prices.price(name) for name in KINDS) / completed


def loaded(evidence: Evidence, scenario: str, case: CaseRecord) -> Loaded | None:
    """Return the compute of a case by OpenCost's rule; None without samples."""
    completed = len(evidence.response_times(scenario, case.name))
    seconds = case_seconds(case)
    used, held = utilisation(evidence, scenario, case), memory(evidence, scenario, case, *UNDER_TEST)
    if not completed or not seconds or used is None or held is None:
        return None
    machine = evidence.run.environment
    cores, gib = used.share.value * machine.cpu_count, held.median / GIB
    share = seconds / HOUR / completed
    workload = _hour(evidence, *_reserved(evidence, cores, gib)) * share
    return Loaded(
        usage_cores=cores,
        usage_gib=gib,
        workload=workload,
        unused=workload - _hour(evidence, cores, gib) * share,
        idle=max(_hour(evidence, machine.cpu_count, machine.memory_bytes / GIB) * share - workload, 0.0),
    )


def month(evidence: Evidence, each: Bill, held: Loaded, cpu_seconds: float, capacity: float) -> Month:
    """Return the cost of a month at the load of the price list.

    Args:
        evidence: Of the run.
        each: The bill of the case that stands for a job.
        held: Its compute, of which the memory counts.
        cpu_seconds: CPU time of a job.
        capacity: Jobs per second of one instance.
    """
    jobs = evidence.prices.assumed("load")
    rate = jobs / (MONTH * HOUR)
    instances = max(math.ceil(rate / capacity), 1)
    cores, gib = _reserved(evidence, rate * cpu_seconds / instances, held.usage_gib)
    return Month(
        jobs=jobs,
        instances=instances,
        capacity=capacity,
        compute=instances * _hour(evidence, cores, gib) * MONTH,
        variable=each.of("egress", *KINDS) * jobs,
    )


def _reserved(evidence: Evidence, cores: float, gib: float) -> tuple[float, float]:
    prices = evidence.prices
    return max(prices.assumed("cpu_request"), cores), max(prices.assumed("memory_request"), gib)


def _hour(evidence: Evidence, cores: float, gib: float) -> float:
    return cores * evidence.prices.price("cpu") + gib * evidence.prices.price("memory")


def _retries(evidence: Evidence, scenario: str, case: CaseRecord, charges: tuple[Charge, ...]) -> float:
    cost = 0.0
    for provider, names in PROVIDERS.items():
        calls = evidence.value(Role.JOB_CALLS, scenario, case.name, provider)
        attempts = evidence.value(Role.JOB_ATTEMPTS, scenario, case.name, provider)
        if calls and attempts and attempts > calls:
            charged = math.fsum(charge.cost for charge in charges if charge.name in names)
            cost += charged / calls * (attempts - calls)
    return cost
