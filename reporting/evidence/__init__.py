"""Everything known of a run: its records, measurements from Prometheus, and traces."""
