"""Plan: scenarios, their files, and the jobs and faults that a seed determines."""
