"""Everything that was found in a run, as data: values, outliers, counts and provenance."""
