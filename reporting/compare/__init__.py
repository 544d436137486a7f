"""Two or more runs: comparisons with a baseline, repetitions of one plan, and ablations."""
