from __future__ import annotations

import signal
import subprocess
import sys

from reelbench.exit_code import ExitCode
from reelbench.stack.processes import Child
from reelbench.suite.measuring import exit_code_of


def test_the_exit_code_of_a_load_generator_without_a_complete_record() -> None:
    for end, code, messages in (
        ("sys.exit(2)", ExitCode.USAGE, 0),
        (f"signal.raise_signal({int(signal.SIGTERM)})", ExitCode.INTERRUPTED, 0),
        (f"signal.raise_signal({int(signal.SIGKILL)})", ExitCode.INCONCLUSIVE, 1),
    ):
        lines: list[str] = []
        process = subprocess.Popen([sys.executable, "-c", f"import signal, sys; {end}"])
        assert exit_code_of(Child("loadgen", process, None), lines.append) == code
        assert len(lines) == messages
