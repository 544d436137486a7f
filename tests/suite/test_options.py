from __future__ import annotations

import pytest

from reelbench.loadgen.option_line import Options
from reelbench.suite.commands.run import _described


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
