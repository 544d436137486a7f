"""The sections of the performance report."""
