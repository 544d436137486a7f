"""The summary of a run: its making, and its blocks."""
