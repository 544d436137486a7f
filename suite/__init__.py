"""The suite: one run or a series of runs, from a started stack to written reports, and the commands for it."""
