"""``reelbench report`` from a checkout that is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.suite.commands.command_line import script
from reelbench.suite.commands.report import main

if __name__ == "__main__":
    sys.exit(script("report", main))
