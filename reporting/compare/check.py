"""Whether two sides can be compared, and what is not the same on both."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.compare.finding import Differs
from reelbench.reporting.compare.side import Side
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence


class CompareError(Exception):
    """Sides that cannot be compared; `errors` has one sentence for each reason, with its cure."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def refusals(run: Side, baseline: Side) -> tuple[str, ...]:
    """Why a comparison would mislead; empty when it does not."""
    return tuple(_refusals(run, baseline))


def _refusals(run: Side, baseline: Side) -> Iterator[str]:
    both = sorted({r.run.run_id for r in run.runs} & {r.run.run_id for r in baseline.runs})
    if both:
        yield f"{', '.join(both)} is on both sides; name two different runs"
    plans = [_plans(side) for side in (run, baseline)]
    if len(plans[0] | plans[1]) > 1:
        mine, theirs = (" or ".join(sorted(plan for _, plan in found)) for found in plans)
        yield (
            f"the plans differ ({mine} against {theirs}); "
            "compare runs of the same scenarios, profile, seed and document"
        )
    for problem in baseline.problems:
        yield f"the baseline {problem}; name a finished, valid run"


def _plans(side: Side) -> set[tuple[tuple[str, str], str]]:
    """Plan hash and document of each run, with how to tell plans apart."""
    found = set()
    for r in side.runs:
        run = r.run
        names = [s.name for s in run.scenarios]
        what = names[0] if len(names) == 1 else f"{len(names)} scenarios"
        sentence = f"{what}, profile {run.profile}, seed {run.seed}, {run.document.name}, plan {run.plan_hash[:8]}"
        found.add(((run.plan_hash, run.document.sha256), sentence))
    return found


def differs(run: Side, baseline: Side) -> tuple[Differs, ...]:
    """Everything recorded of the environment that is not the same on both sides."""
    mine, theirs = _facts(run), _facts(baseline)
    return tuple(
        Differs(item=item, run=mine.get(item, text.NONE), baseline=theirs.get(item, text.NONE))
        for item in dict.fromkeys([*mine, *theirs])
        if mine.get(item) != theirs.get(item)
    )


def _facts(side: Side) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for run in side.runs:
        for item, sentence in _of_run(run):
            found.setdefault(item, []).append(sentence)
    return {item: "; ".join(dict.fromkeys(texts)) for item, texts in found.items()}


def _of_run(evidence: Evidence) -> Iterator[tuple[str, str]]:
    run, machine, stack = evidence.run, evidence.run.environment, evidence.stack
    changed = ", with uncommitted changes" if machine.dirty else ""
    yield "Commit", f"{machine.commit[:12]}{changed}" if machine.commit else "not a checkout"
    for name, on in sorted((run.switches or {}).items()):
        yield f"Switch {name}", "on" if on else "off"
    # an embedded stack takes free ports: only a target of one's own is a difference
    yield "Target", "embedded service" if stack and stack.kind == "embedded" and stack.has_service else run.target
    yield "Stack", stack.kind if stack else "not recorded"
    yield "Prometheus", str(stack.prometheus.version) if stack and stack.prometheus else text.NONE
    yield "Processor", f"{machine.cpu_model}, {machine.cpu_count} cores"
    yield "Memory", text.size(machine.memory_bytes)
    yield "Operating system", machine.os
    yield "Python", machine.python
    for name, version in sorted(machine.packages.items()):
        yield f"Library {name}", version
    yield "Lock file", (machine.lock_sha256 or text.NONE)[:12]
    yield "Load generators", str(run.replicas)
