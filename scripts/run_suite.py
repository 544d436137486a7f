"""``reelbench run`` from a checkout that is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.ending import end_at_once

if __name__ == "__main__":  # a signal during the imports: nothing to save, and no traceback
    end_at_once()

from reelbench.suite.commands.command_line import script
from reelbench.suite.commands.run import main

if __name__ == "__main__":
    sys.exit(script("run", main))
