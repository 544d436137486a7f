from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from reelbench.stack.processes import Child
from reelbench.suite.measuring import exit_code_of


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("sys.exit(2)", 2, []),
        (f"signal.raise_signal({int(signal.SIGTERM)})", 130, []),
        (
            f"signal.raise_signal({int(signal.SIGKILL)})",
            3,
            ["error: loadgen ended with signal SIGKILL before the load had ended; what it had written is kept"],
        ),
    ],
)
def test_the_exit_code_of_a_load_generator_without_a_whole_record_is_one_of_the_table(
    end: str, code: int, said: list[str]
) -> None:
    lines: list[str] = []
    process = subprocess.Popen([sys.executable, "-c", f"import signal, sys; {end}"])
    assert exit_code_of(Child("loadgen", process, None), lines.append) == code
    assert lines == said
