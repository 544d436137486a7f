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
from reelbench.loadgen.plan.scenario import Case, Profile, Scenario, Step, VideoSpec
from reelbench.loadgen.record.run_files import to_line

_METHODS = (
    "a controlled experiment on",
    "a survey of",
    "a formal model of",
    "a field study of",
    "a benchmark for",
    "a replication of",
    "a lower bound for",
    "an open data set about",
)
_TOPICS = (
    "attention in long documents",
    "tail latency in queueing networks",
    "protein folding",
    "coral reef recovery",
    "gravitational lensing",
    "federated learning",
    "soil carbon storage",
    "lattice cryptography",
    "speech synthesis",
    "urban heat islands",
    "glacier dynamics",
    "graph neural networks",
    "vaccine cold chains",
    "type inference",
    "battery ageing",
    "reading comprehension",
)
_AUDIENCES = (
    "first-year students",
    "reviewers of a systems conference",
    "a public lecture",
    "high-school teachers",
    "engineers new to the field",
    "a grant committee",
)
_LOOKS = (
    "hand-drawn diagrams",
    "calm camera moves over charts",
    "animated formulas",
    "a split screen of data and narration",
    "close shots of laboratory work",
)


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a row of a prompts file or of a trace of arrivals asks for, in addition to prompt, length and size."""

    num_frames: int | None = None
    fps: float | None = None
    num_inference_steps: int | None = None
    seed: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    quality: str | None = None
    extra: dict[str, str | int | float | bool] = {}
    """Further fields of the request, by the server's names."""


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
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


def plan_run(scenarios: Iterable[Scenario], profile: Profile, seed: int) -> tuple[PlannedJob, ...]:
    """Plan all jobs of a run, in the order of scenarios, cases and indexes."""
    return tuple(
        job for scenario in scenarios for case in scenario.cases for job in plan_case(scenario, case, profile, seed)
    )


def plan_case(scenario: Scenario, case: Case, profile: Profile, seed: int) -> tuple[PlannedJob, ...]:
    """Plan the warm-up and measured jobs of one case."""
    starts: Sequence[float | None]
    if case.model == "open":
        starts = arrivals(case, profile, f"{seed}:{scenario.name}:{case.name}:arrivals")
        warmup = sum(start < 0 for start in starts if start is not None)
    else:
        warmup = case.warmup.of(profile)
        starts = [None] * (warmup + case.iterations.of(profile))
    return tuple(
        PlannedJob(
            scenario=scenario.name,
            case=case.name,
            index=index,
            warmup=index < warmup,
            steps=scenario.steps,
            encoding=_encoding(scenario, index),
            prompt=_prompt(_origin(scenario, case, profile, seed, index)),
            seconds=scenario.video.seconds,
            size=scenario.video.size,
            cancel_after=_cancel_after(scenario, f"{seed}:{scenario.name}:{case.name}:{index}:cancel"),
            intended_start=start,
            ask=_ask(scenario.video),
        )
        for index, start in enumerate(starts)
    )


def to_bytes(plan: Sequence[PlannedJob], faults: Sequence[PlannedFault] = ()) -> bytes:
    """Return a plan as JSON Lines, jobs first; equal plans give equal bytes."""
    return b"".join(to_line(item) for item in (*plan, *faults))


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


def _origin(scenario: Scenario, case: Case, profile: Profile, seed: int, index: int) -> str:
    """Return the position whose prompt the job has: its own, or one in the case before; warm-up jobs never repeat."""
    number = index - case.warmup.of(profile)
    if number >= 0 and (case.prompts == "repeated" or (case.prompts == "half_new" and number % 2 == 0)):
        before = scenario.cases[scenario.cases.index(case) - 1]
        return _origin(scenario, before, profile, seed, before.warmup.of(profile) + number)
    return f"{seed}:{scenario.name}:{case.name}:{index}"


def _cancel_after(scenario: Scenario, place: str) -> float | None:
    bounds = scenario.cancel_after
    if bounds is None:
        return None
    stream = random.Random(int.from_bytes(hashlib.sha256(place.encode()).digest()))
    return round(stream.uniform(bounds.earliest, bounds.latest), 6)


def _encoding(scenario: Scenario, index: int) -> Literal["multipart", "json"]:
    if scenario.encoding == "alternate":
        return "multipart" if index % 2 == 0 else "json"
    return scenario.encoding


def _prompt(place: str) -> str:
    digest = hashlib.sha256(place.encode()).digest()
    stream = random.Random(int.from_bytes(digest))
    method, topic, audience, look = (stream.choice(words) for words in (_METHODS, _TOPICS, _AUDIENCES, _LOOKS))
    # The digest differs between seeds, the place between jobs.
    return f"Explain {method} {topic} for {audience}, with {look}. Reference {digest.hex()[:8]}/{place}."
