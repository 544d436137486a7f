"""The sections of the reliability report."""
