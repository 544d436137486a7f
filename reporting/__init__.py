"""Reports: from the records and the telemetry of a run to verdicts, sections, comparisons and files."""
