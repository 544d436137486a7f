"""Conclusions from the evidence of a run: verdicts, indicators of the records, and figures for the sections."""
