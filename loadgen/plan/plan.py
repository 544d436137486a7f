"""The plan of a run: every job is determined by the seed before the first one is sent.

Each job has a random stream of its own, seeded by its position in the plan, so a job is independent of concurrency, of
the order of sending and of the number of other jobs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from reelbench.loadgen.plan.arrivals import arrivals
from reelbench.loadgen.plan.fault_plan import PlannedFault
from reelbench.loadgen.plan.prompts import prompt
from reelbench.loadgen.plan.replay import ReplayCase
from reelbench.loadgen.plan.row import Ask, merged
from reelbench.loadgen.plan.scenario import Case, Profile, Scenario, SlowClients, Step, VideoSpec
from reelbench.loadgen.plan.workload import DOCUMENT, Workload

_ENCODER = msgspec.json.Encoder()


class PlannedJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One job of the plan, completely determined; `_plan_job` fills it by position, so new fields come last."""

    scenario: str
    case: str
    index: int
    """Position in the case's plan, from 0; warm-up jobs come first."""
    warmup: bool
    steps: tuple[Step, ...]
    encoding: Literal["multipart", "json"]
    prompt: str
    """Built-in prompts are unique in the plan and between seeds, except in cases that repeat them."""
    seconds: str
    size: str
    cancel_after: float | None
    """Seconds from acceptance to cancellation; None: not cancelled."""
    intended_start: float | None = msgspec.field(name="due")
    """Seconds after the start of the measured part, negative in the warm-up; None (closed): when a user is free."""
    ask: Ask | None = None
    """Further wishes; None: prompt, length and size alone."""
    reference: str | None = None
    """Name of the image or video that the job uploads; None: the document, if jobs upload one."""
    verbatim: bool = False
    """True: the prompt is sent unchanged; else the run id is added to it."""
    send_rate: int | None = None
    """Bytes per second of a client that sends slowly."""
    read_rate: int | None = None
    """Bytes per second of a client that reads slowly."""


def plan_run(
    scenarios: Iterable[Scenario], profile: Profile, seed: int, workload: Workload = DOCUMENT
) -> tuple[PlannedJob, ...]:
    """Plan all jobs of a run, in the order of scenarios, cases and indexes."""
    return tuple(
        job
        for scenario in scenarios
        for case in scenario.cases
        for job in plan_case(scenario, case, profile, seed, workload)
    )


def plan_case(
    scenario: Scenario, case: Case, profile: Profile, seed: int, workload: Workload = DOCUMENT
) -> tuple[PlannedJob, ...]:
    """Plan the warm-up and measured jobs of one case."""
    starts: Sequence[float | None]
    if isinstance(case, ReplayCase):
        starts, warmup = case.starts, 0
    elif case.model == "open":
        starts = arrivals(case, profile, f"{seed}:{scenario.name}:{case.name}:arrivals")
        warmup = sum(start < 0 for start in starts if start is not None)
    else:
        warmup = case.warmup.of(profile)
        starts = [None] * (warmup + case.iterations.of(profile))
    of_case = _OfCase(
        scenario, case, profile, workload, f"{seed}:{scenario.name}", scenario.video, _ask(scenario.video)
    )
    return tuple([_plan_job(of_case, index, index - warmup, start) for index, start in enumerate(starts)])


class _OfCase(msgspec.Struct, frozen=True):
    """What the jobs of a case have in common."""

    scenario: Scenario
    case: Case
    profile: Profile
    workload: Workload
    begin: str
    """Seed and scenario, with which the place of a job begins."""
    video: VideoSpec
    ask: Ask | None


def _plan_job(of_case: _OfCase, index: int, number: int, start: float | None) -> PlannedJob:
    """Plan one job.

    Args:
        of_case: what the jobs of the case have in common.
        index: position in the plan of the case, from 0.
        number: from 0 for the first measured job of the case; negative in the warm-up.
        start: intended start.
    """
    scenario, case, workload, begin = of_case.scenario, of_case.case, of_case.workload, of_case.begin
    source, place = _origin(scenario, case, of_case.profile, number, index)
    row = workload.row(f"{begin}:{source.name}", number)
    if isinstance(case, ReplayCase):
        row = workload.arrival(index, row)
    reference = row.image or workload.image(number)
    slow = _slow(case, number)
    return PlannedJob(  # by position: by name, it takes seven times as long
        scenario.name,
        case.name,
        index,
        number < 0,
        case.steps or scenario.steps,
        _encoding(scenario, index) if reference is None else "multipart",  # only a form carries a file
        row.prompt or prompt(workload.builtin, f"{begin}:{source.name}:{place}"),
        row.seconds or of_case.video.seconds,
        row.size or of_case.video.size,
        _cancel_after(scenario, case, begin, index),
        start,
        merged(row.ask, of_case.ask),
        reference,
        row.prompt is not None,
        _bytes(slow.send) if slow else None,
        _bytes(slow.read) if slow else None,
    )


def to_bytes(plan: Sequence[PlannedJob], faults: Sequence[PlannedFault] = ()) -> bytes:
    """Return a plan as JSON Lines, jobs first; equal plans give equal bytes."""
    return _ENCODER.encode_lines((*plan, *faults))


def plan_hash(data: bytes) -> str:
    """Return the sha256 of an encoded plan, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _ask(video: VideoSpec) -> Ask | None:
    """Return what a scenario asks for in addition to length and size; None: nothing."""
    ask = Ask(
        num_frames=video.num_frames,
        fps=video.fps,
        num_inference_steps=video.num_inference_steps,
        seed=video.seed,
        guidance_scale=video.guidance_scale,
    )
    return ask if ask != Ask() else None


def _origin(scenario: Scenario, case: Case, profile: Profile, number: int, index: int) -> tuple[Case, int]:
    """Return case and index of the job whose prompt a job has: its own, or one in the case before.

    Warm-up jobs never repeat.
    """
    if number >= 0 and (case.prompts == "repeated" or (case.prompts == "half_new" and number % 2 == 0)):
        before = scenario.cases[scenario.cases.index(case) - 1]
        return _origin(scenario, before, profile, number, before.warmup.of(profile) + number)
    return case, index


def _cancel_after(scenario: Scenario, case: Case, begin: str, index: int) -> float | None:
    bounds = scenario.cancel_after
    if bounds is None or "cancel" not in (case.steps or scenario.steps):
        return None
    place = f"{begin}:{case.name}:{index}:cancel"
    stream = random.Random(int.from_bytes(hashlib.sha256(place.encode()).digest()))
    return round(stream.uniform(bounds.earliest, bounds.latest), 6)


def _slow(case: Case, number: int) -> SlowClients | None:
    """Return the slow client of a measured job; None: a client as usual."""
    slow = case.slow_clients
    return slow if slow is not None and number >= 0 and number % slow.every == 0 else None


def _bytes(kilobytes: int | None) -> int | None:
    return None if kilobytes is None else kilobytes * 1_000


def _encoding(scenario: Scenario, index: int) -> Literal["multipart", "json"]:
    if scenario.encoding == "alternate":
        return "multipart" if index % 2 == 0 else "json"
    return scenario.encoding
