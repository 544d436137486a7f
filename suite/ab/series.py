"""The runs of an interleaved comparison, A B B A or B A A B, until the answer is known or the budget is spent."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from reelbench.loadgen.record.conditions import read_conditions
from reelbench.loadgen.record.run import read_run
from reelbench.reporting.compare.ab.judge import BLOCK, Decision, decide, pairs_of
from reelbench.reporting.compare.ab.leg import read_leg
from reelbench.reporting.compare.ab.records import BASE, HEAD, AbRecord, AbSide, Ended, Leg, Rule, Which
from reelbench.reporting.compare.ab.report import sentence, write_ab
from reelbench.reporting.compare.records import Differs
from reelbench.reporting.compare.writing import MARKDOWN, Output, Written
from reelbench.reporting.document import running, text
from reelbench.stack.errors import StackError
from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.checkouts import Program
from reelbench.suite.ab.sides import Side, unknown_settings

ORDERS: Final[tuple[tuple[Which, ...], ...]] = ((BASE, HEAD, HEAD, BASE), (HEAD, BASE, BASE, HEAD))
"""The two orders of a block. Each block draws one: what disturbs the machine at a fixed interval of some runs, such as
another comparison that began at the same time, would otherwise always meet the same side."""


class Runs(Protocol):
    """Makes one run."""

    def run(self, side: Side, program: Program | None, folder: Path) -> None:
        """Run the plan once against a side; the folder then has records and traces."""


@dataclass(kw_only=True)
class Comparison:
    """An interleaved comparison under way."""

    folder: Path
    """Folder of the comparison; a folder of each run is made in it."""
    sides: tuple[Side, Side]
    programs: Sequence[Program | None]
    """Of each side; None for a target."""
    rule: Rule
    runs: Runs
    say: Callable[[str], None]
    order: random.Random
    """Draws the order of each block."""
    output: Output = MARKDOWN
    """What is written at the end."""
    clock: Callable[[], float] = time.monotonic
    legs: list[Leg] = field(default_factory=list)
    _looked: list[Leg] = field(default_factory=list)
    _decision: Decision = field(default_factory=Decision)

    def make(self) -> Written[AbRecord]:
        """Run pairs until the answer is known or the budget is spent, and write the report.

        An interrupted comparison is reported as it was at its last look.

        Raises:
            AbError: the plans of two runs differ, the budget is too short, or a setting is unknown.
            StackError: a run could not be made.
            RecordError: what a run wrote cannot be read.
            KeyboardInterrupt: interrupted before the first look; nothing is left.
        """
        began = self.clock()
        try:
            ended = self._pairs(began)
        except KeyboardInterrupt:
            if not self._looked:
                self._discard()
                raise
            self.say("interrupted: the report shows the last look")
            ended = Ended.INTERRUPTED
        except BaseException as error:
            self._discard(keep_logs=isinstance(error, StackError))
            raise
        return write_ab(self.folder, self._record(ended, self.clock() - began), self.output)

    def _pairs(self, began: float) -> Ended:
        looks = self.rule.looks
        for number in range(1, looks[-1] + 1, BLOCK):
            if number > 1 and self._spent(began):
                return Ended.TIME
            for which in self.order.choice(ORDERS):
                self._run(which)
                self._check_budget()
            if len(pairs_of(self.legs)) in looks:
                self._looked = list(self.legs)
                self._decision = decide(self.rule, self._looked)
                for one in self._decision.primaries:
                    self.say(f"  look after {len(pairs_of(self.legs))} pairs: {sentence(one)}")
                if self._decision.answered:
                    return Ended.ANSWERED
        return Ended.PAIRS

    def _spent(self, began: float) -> bool:
        """Return whether another block would end after the budget."""
        spent = self.clock() - began
        block = spent / len(self.legs) * len(ORDERS[0])
        return spent + block > self.rule.budget

    def _check_budget(self) -> None:
        """Check, after the first run, that the budget is enough for the first look."""
        if len(self.legs) != 1:
            return
        needed = self.legs[0].seconds * 2 * self.rule.looks[0]
        if needed > self.rule.budget:
            raise AbError(
                f"--budget: {text.length(self.rule.budget)} is too short: a run takes "
                f"{text.length(self.legs[0].seconds)}, and the first decision needs {2 * self.rule.looks[0]} runs; "
                f"give at least {text.length(1.2 * needed)}, or a smaller load"
            )

    def _run(self, which: Which) -> None:
        index = (BASE, HEAD).index(which)
        side, position = self.sides[index], len(self.legs) + 1
        folder = self.folder / f"{position:03}-{which}"
        began = self.clock()
        self.runs.run(side, self.programs[index], folder)
        leg = read_leg(folder, which, self.clock() - began)
        self._check_settings(side, folder)
        if self.legs and leg.plan_hash != self.legs[0].plan_hash:
            raise AbError(
                f"--ab: the plan of run {position} ({which}) differs from that of the first run: the sides do not "
                "offer the same operations; name scenarios that both can run with --scenario"
            )
        self.legs.append(leg)
        shown = ", ".join(
            f"{one.scenario} / {one.case} {text.NONE if one.response is None else f'{one.response * 1000:,.0f} ms'}"
            for one in leg.places
        )
        self.say(f"pair {(position + 1) // 2}, {which}: {shown} ({leg.seconds:.0f} s)")

    def _check_settings(self, side: Side, folder: Path) -> None:
        """Check that the processes have the settings of a settings file."""
        conditions = read_conditions(folder)
        if conditions is None or not side.settings:
            return
        known = [name for one in conditions.processes for name in one.settings]
        if known and (unknown := unknown_settings(side, known)):
            raise AbError(
                f"--ab: {side.name}: {', '.join(unknown)}: neither service nor providers have this setting; "
                "their settings are in docs/service.md"
            )

    def _record(self, ended: Ended, seconds: float) -> AbRecord:
        base, head = self.sides
        legs = self._looked or self.legs
        decision = self._decision if self._looked else decide(self.rule, legs)
        run = read_run(self.folder / legs[0].folder)
        return AbRecord(
            name=self.folder.name,
            kind=base.kind,
            base=AbSide(name=base.name, described=base.described),
            head=AbSide(name=head.name, described=head.described),
            profile=run.profile,
            seed=run.seed,
            plan_hash=run.plan_hash,
            rule=self.rule,
            ended=ended,
            seconds=seconds,
            legs=tuple(legs),
            primaries=decision.primaries,
            stages=decision.stages,
            differs=self._differs(legs),
            remarks=tuple(_remarks(legs)),
        )

    def _differs(self, legs: Sequence[Leg]) -> tuple[Differs, ...]:
        facts: dict[str, dict[str, str]] = {BASE: {}, HEAD: {}}
        for leg in legs:
            conditions = read_conditions(self.folder / leg.folder)
            if conditions is not None:
                facts[leg.side] |= dict(running.facts(conditions))
        base, head = facts[BASE], facts[HEAD]
        return tuple(
            Differs(item=item, run=head.get(item, text.NONE), baseline=base.get(item, text.NONE))
            for item in dict.fromkeys([*base, *head])
            if base.get(item) != head.get(item)
        )

    def _discard(self, *, keep_logs: bool = False) -> None:
        """Remove the folder; after a run that failed, its own folder stays, as the message names its log."""
        if not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for leg in self.legs:
            shutil.rmtree(self.folder / leg.folder, ignore_errors=True)


def _remarks(legs: Sequence[Leg]) -> list[str]:
    disturbed = [leg.folder for leg in legs if any(one.disturbed for one in leg.places)]
    if not disturbed:
        return []
    reason = next(one.disturbed for leg in legs for one in leg.places if one.disturbed)
    return [
        (
            f"Other programs disturbed {text.counted(len(disturbed), 'run')} of {len(legs)}, such as {disturbed[0]}: "
            f"{reason}; this makes the spread larger, and so the answer later"
        )
    ]
