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


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One job of the plan, completely determined."""

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
    ask = _ask(scenario.video)
    return tuple(
        _plan_job(scenario, case, workload, _Position(seed, profile, index, index - warmup), start, ask)
        for index, start in enumerate(starts)
    )


class _Position(msgspec.Struct, frozen=True):
    """Position of a job in the plan."""

    seed: int
    profile: Profile
    index: int
    """In the plan of its case."""
    number: int
    """From 0 for the first measured job of the case; negative in the warm-up."""


def _plan_job(  # noqa: PLR0917 - what a job depends on
    scenario: Scenario, case: Case, workload: Workload, position: _Position, start: float | None, ask: Ask | None
) -> PlannedJob:
    index, number = position.index, position.number
    source, place = _origin(scenario, case, position, index)
    begin = f"{position.seed}:{scenario.name}"
    row = workload.row(f"{begin}:{source.name}", number)
    if isinstance(case, ReplayCase):
        row = workload.arrival(index, row)
    reference = row.image or workload.image(number)
    slow = _slow(case, number)
    return PlannedJob(
        scenario=scenario.name,
        case=case.name,
        index=index,
        warmup=number < 0,
        steps=case.steps or scenario.steps,
        # Only a form carries a file.
        encoding=_encoding(scenario, index) if reference is None else "multipart",
        prompt=row.prompt or prompt(workload.builtin, f"{begin}:{source.name}:{place}"),
        seconds=row.seconds or scenario.video.seconds,
        size=row.size or scenario.video.size,
        cancel_after=_cancel_after(scenario, case, f"{begin}:{case.name}:{index}:cancel"),
        intended_start=start,
        ask=merged(row.ask, ask),
        reference=reference,
        verbatim=row.prompt is not None,
        send_rate=_bytes(slow.send) if slow else None,
        read_rate=_bytes(slow.read) if slow else None,
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


def _origin(scenario: Scenario, case: Case, position: _Position, index: int) -> tuple[Case, int]:
    """Return case and index of the job whose prompt a job has: its own, or one in the case before.

    Warm-up jobs never repeat.
    """
    number = position.number
    if number >= 0 and (case.prompts == "repeated" or (case.prompts == "half_new" and number % 2 == 0)):
        before = scenario.cases[scenario.cases.index(case) - 1]
        return _origin(scenario, before, position, before.warmup.of(position.profile) + number)
    return case, index


def _cancel_after(scenario: Scenario, case: Case, place: str) -> float | None:
    bounds = scenario.cancel_after
    if bounds is None or "cancel" not in (case.steps or scenario.steps):
        return None
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
