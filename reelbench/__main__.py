"""``python -m reelbench``: the same as the console script ``reelbench``."""

import sys

from reelbench.suite.commands.command_line import main

if __name__ == "__main__":
    sys.exit(main())
