from __future__ import annotations

import pytest

from reelbench.loadgen.option_line import Options
from reelbench.loadgen.target.target_file import TargetFile
from reelbench.suite.commands.run import _described, _objective_errors


@pytest.mark.parametrize(
    ("given", "preset"),
    [
        (Options(), "reelbench"),
        (Options(preset="openai"), "openai"),
        (Options(target="http://127.0.0.1:1"), None),
    ],
)
def test_a_stack_of_ours_is_described_by_its_preset_unless_the_user_says_otherwise(
    given: Options, preset: str | None
) -> None:
    assert _described(given).preset == preset


def test_objectives_of_a_target_file_are_checked_before_a_run() -> None:
    good = TargetFile(name="mine", title="Mine", objectives={"response_time_p95": 120.0})
    assert _objective_errors(good) == []
    assert _objective_errors(None) == []
    wrong = TargetFile(name="mine", title="Mine", objectives={"response_time_p9": 120.0, "success_rat": 0.9})
    first, second = _objective_errors(wrong)
    assert first.startswith("--target-file: objectives: 'response_time_p9' is no indicator that can be judged")
    assert second.endswith("did you mean 'success_rate'?")
