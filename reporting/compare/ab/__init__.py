"""An interleaved comparison: its runs as data, the decision at each look, the stages that moved, and its report."""
